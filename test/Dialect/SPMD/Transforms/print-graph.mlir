// RUN: moe-opt %s --moe-check --spmd-print-graph -o %t.mlir | FileCheck %s
// RUN: moe-opt %s --moe-check --spmd-print-graph=all -o %t.mlir | FileCheck %s --check-prefix=ALL
// RUN: moe-opt %s --moe-check --spmd-print-graph=part=whole -o %t.mlir | FileCheck %s --check-prefix=WHOLE

// The output is the same whatever the order of addresses is.
// RUN: moe-opt %s --moe-check --spmd-print-graph="output=%t.1.dot" -o %t.mlir
// RUN: moe-opt %s --moe-check --spmd-print-graph="output=%t.2.dot" -o %t.mlir --mlir-disable-threading
// RUN: cmp %t.1.dot %t.2.dot

#mesh = #spmd.mesh<dp=2, tp=2, one=1>
!x = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!h_ = !spmd.tensor<8x6xf32, #mesh, dp: ?, tp: ?, one: ?>

// The title counts what is drawn; only the backward pass is. %w is cut, so dy.w is
// partial over tp, and x over dp: both lines are of that colour, and thick. Axes of one rank
// are left out.

// CHECK: digraph {
// CHECK: "#D55E00">partial: a term of a sum</TD>
// CHECK: subgraph cluster_g0_all {
// CHECK-NEXT: label=<<B>layer.vjp</B>: 2 collectives, 112 B, {{[0-9.]+}} us>
// CHECK: [[DY:g0_0]] [shape=plain tooltip="8x6 f32, dp: shard<0>, tp: shard<1>"
// CHECK-SAME: <B>dy</B></TD><TD BGCOLOR="#56B4E9">dp: shard&lt;0&gt;</TD><TD BGCOLOR="#56B4E9">tp: shard&lt;1&gt;</TD></TR>

// Both come from one place.
// CHECK: subgraph cluster_g0_0 {
// CHECK-NEXT: label=<<FONT POINT-SIZE="10">print-graph.mlir:[[#@LINE+30]]:8 einsum &quot;td,fd-&gt;tf&quot;, backward</FONT>>
// CHECK-NEXT: [[DX:g0_[0-9]+]] [shape=plain
// CHECK-SAME: tooltip="'moe.einsum' (backward) at {{.*}}print-graph.mlir:[[#@LINE+28]]:8\ndp: cut as an operand is [rule 20.2]\ntp: sums over a dimension that is cut: partial from here on [rule 20.4]"
// CHECK-SAME: <B>einsum &quot;tf,fd-&gt;td&quot;</B>
// What it takes of the forward pass is named.
// CHECK-SAME: of w</FONT></TD><TD BGCOLOR="#BBBBBB">dp: replicate</TD><TD BGCOLOR="#56B4E9">tp: shard&lt;0&gt;</TD>
// CHECK-SAME: result</FONT></TD><TD BGCOLOR="#56B4E9">dp: shard&lt;0&gt;</TD><TD BGCOLOR="#D55E00"><B>tp: partial&lt;sum&gt;</B></TD>
// CHECK-NEXT: [[DW:g0_[0-9]+]] [shape=plain

// Reductions have a shape of their own, and say at which site they are.
// CHECK: [[RX:g0_[0-9]+]] [shape=doubleoctagon style=filled fillcolor="#F0E442"
// CHECK-SAME: label=<<B>all_reduce</B> over tp<BR/>64 B, {{[0-9.]+}} us<BR/>at the &lt;gate&gt;<BR/>
// CHECK: [[RW:g0_[0-9]+]] [shape=doubleoctagon
// CHECK-SAME: <B>all_reduce</B> over dp<BR/>48 B, {{[0-9.]+}} us<BR/>at w<BR/>
// CHECK: <B>grad.x</B>
// CHECK: <B>grad.w</B>

// CHECK-DAG: [[DY]] -> [[DX]] [label=<8x6 f32> color="#56B4E9:#56B4E9" penwidth=2 tooltip="8x6 f32, dp: shard<0>, tp: shard<1>"]
// CHECK-DAG: [[DX]] -> [[RX]] [label=<8x4 f32<BR/><I>claim at trusted</I>> color="#56B4E9:#D55E00" penwidth=4
// CHECK-DAG: [[DW]] -> [[RW]] [label=<6x4 f32> color="#D55E00:#56B4E9" penwidth=4

// Claims and values of the forward pass are drawn.
// ALL-DAG: <B>claim</B> at trusted
// ALL-DAG: label=<<TABLE BORDER="1" STYLE="ROUNDED" CELLBORDER="0" BGCOLOR="#FFFFFF"><TR><TD><B>w</B></TD>

// WHOLE: <B>w</B></TD>
// WHOLE: <B>y</B></TD>
func.func @layer(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!h_ {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad converts <dp: shard<0>> at "the <gate>" : !x -> !x
  %1 = spmd.boundary %0 grad claims <dp: shard<0>, tp: partial<sum>> at "trusted" : !x -> !x
  %2 = moe.einsum "td,fd->tf" %1, %w : (!x, !w) -> !h_
  return %2 : !h_
}
