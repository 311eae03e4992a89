// RUN: moe-opt %s --spmd-print-graph=function=experts -o %t.mlir | FileCheck %s --check-prefix=ROWS
// RUN: moe-opt %s --spmd-print-graph=function=nested -o %t.mlir | FileCheck %s --check-prefix=NESTED
// RUN: moe-opt %s --spmd-print-graph=function=unsound -o %t.mlir | FileCheck %s --check-prefix=UNSOUND

// Rows that routing sends to the ranks of their experts; what a rank sends if all get
// as many: half of the 8 of 16 rows, of 16 bytes.
// ROWS: label=<<B>experts</B>: 0 collectives, 0 B, 0.0 us; by routing, if it is even: 1 collective, 64 B,
// ROWS: [shape=hexagon
// ROWS-SAME: label=<<B>all_to_all</B> over ep<BR/>64 B, {{[0-9.]+}} us<BR/>where routing is even<BR/>dispatch<BR/><FONT
// An index is no flow backwards, but one of the whole graph.
// ROWS: -> g0_2 [label=<8x2 i32> color="#56B4E9" penwidth=2
// ROWS: color="#009E73" penwidth=2 tooltip="16x4 f32, ep: ragged<0>"
#expert = #spmd.mesh<ep=2>
!t = !spmd.tensor<8x4xf32, #expert, ep: shard<0>>
!i = !spmd.tensor<8x2xi32, #expert, ep: shard<0>>
!rows = !spmd.tensor<16x4xf32, #expert, ep: ragged<0>>
func.func @experts(%x: !t, %i: !i) -> !rows {
  %0 = moe.dispatch %x, %i of 4 : (!t, !i) -> !rows
  return %0 : !rows
}

// What an operation holds is a cluster between its operands and its results.
// NESTED: subgraph cluster_g0_0 {
// NESTED-NEXT: label=<scf.for {{.*}}
// NESTED-NEXT: [[ENTER:g0_[0-9]+]] [shape=box label=<scf.for>]
// NESTED-NEXT: [[LEAVE:g0_[0-9]+]] [shape=box label=<results of scf.for>]
// NESTED-NEXT: [[ADD:g0_[0-9]+]] {{.*}}<B>add</B>
// NESTED-NEXT: }
// NESTED-NEXT: <B>func.call @nested</B>
// NESTED: [[ENTER]] -> [[ADD]]
// NESTED: [[ADD]] -> [[LEAVE]]
// NESTED: [[LEAVE]] -> {{.*}} [label=<8x4 f32>
!s = !spmd.tensor<8x4xf32, #expert>
func.func @nested(%x: !s {spmd.name = "\22quoted\22 \5C and <b>\01\FF"}, %n: index) -> !s {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %k = %c0 to %n step %c1 iter_args(%sum = %x) -> !s {
    %1 = moe.add %sum, %x : (!s, !s) -> !s
    scf.yield %1 : !s
  }
  %2 = func.call @nested(%0, %n) : (!s, index) -> !s
  return %2 : !s
}
// Names may hold anything.
// NESTED-NOT: {{[^ -~]}}b&gt;

// A refused operation says by which rule; one that is not inferred is drawn too.
// UNSOUND: 'moe.silu' at {{.*}}\nep: operand 0 is partial<sum>, and the operation is not linear in it [rule {{[0-9]+}}.11]
// UNSOUND: BGCOLOR="#FFFFFF">ep: ?</TD>
// UNSOUND: color="#000000" penwidth=2
!p = !spmd.tensor<8x4xf32, #expert, ep: partial<sum>>
!s_ = !spmd.tensor<8x4xf32, #expert, ep: ?>
func.func @unsound(%x: !p) -> !s_ {
  %0 = moe.silu %x : (!p) -> !s_
  return %0 : !s_
}
