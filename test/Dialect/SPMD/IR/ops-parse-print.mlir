// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | FileCheck %s --check-prefix=GENERIC

#mesh = #spmd.mesh<dp=2, tp=4>
#split = #spmd.mesh<dp=(outer=2, ep=4), tp=2>

// Shapes, meshes and element types: placements are what varies here.
!any = !spmd.tensor<8x12xf32, #mesh, dp: ?, tp: ?>
!whole = !spmd.tensor<8x12xf32, #mesh>
!rows = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
!terms = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>

// CHECK-LABEL: func @redistribute
// CHECK-SAME: %[[X:[a-z0-9]+]]: !spmd.tensor<8x12xf32, #[[$MESH:mesh[0-9]*]], dp: shard<0>, tp: partial<sum>>
func.func @redistribute(%x: !terms) {
  // CHECK-NEXT: spmd.redistribute %[[X]] : !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>, tp: partial<sum>> -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.redistribute"(%{{.*}}) : (!spmd.tensor<8x12xf32, #{{.*}}, dp: shard<0>, tp: partial<sum>>) -> !spmd.tensor<8x12xf32, #{{[a-z0-9]+}}>
  %0 = spmd.redistribute %x : !terms -> !whole
  // CHECK-NEXT: spmd.redistribute %[[X]] at "y" : {{.*}} -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>>
  // GENERIC: "spmd.redistribute"(%{{.*}}) <{site = "y"}>
  %1 = spmd.redistribute %x at "y" : !terms -> !rows
  // An axis that is `?` keeps the operand's placement.
  // CHECK-NEXT: spmd.redistribute %[[X]] {note = 1 : i32} : {{.*}} -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: ?>
  %2 = spmd.redistribute %x {note = 1 : i32} : !terms -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  // Rows cut by expert become whole; another kind of partial stays itself.
  // CHECK-NEXT: spmd.redistribute
  %3 = spmd.redistribute %2 : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ragged<0>>
  // CHECK-NEXT: spmd.redistribute
  %4 = spmd.redistribute %3 : !spmd.tensor<8x12xf32, #mesh, dp: ragged<0>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  return
}

// CHECK-LABEL: func @redistribute_kinds
func.func @redistribute_kinds(%x: !spmd.tensor<8xf64, #mesh, tp: partial<max>>,
                              %y: !spmd.tensor<8xi32, #mesh, tp: shard<0>>) {
  // CHECK-NEXT: spmd.redistribute %{{.*}} : !spmd.tensor<8xf64, #[[$MESH]], tp: partial<max>> -> !spmd.tensor<8xf64, #[[$MESH]], dp: shard<0>, tp: partial<max>>
  %0 = spmd.redistribute %x : !spmd.tensor<8xf64, #mesh, tp: partial<max>>
      -> !spmd.tensor<8xf64, #mesh, dp: shard<0>, tp: partial<max>>
  // CHECK-NEXT: spmd.redistribute %{{.*}} : !spmd.tensor<8xi32, #[[$MESH]], tp: shard<0>> -> !spmd.tensor<8xi32, #[[$MESH]], tp: partial<sum>>
  %1 = spmd.redistribute %y : !spmd.tensor<8xi32, #mesh, tp: shard<0>>
      -> !spmd.tensor<8xi32, #mesh, tp: partial<sum>>
  return
}

// CHECK-LABEL: func @claim
func.func @claim(%x: !any) {
  // CHECK-NEXT: spmd.claim %{{.*}} : !spmd.tensor<8x12xf32, #[[$MESH]], dp: ?, tp: ?> -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>, tp: partial<sum>>
  // GENERIC: "spmd.claim"(%{{.*}}) :
  %0 = spmd.claim %x : !any -> !terms
  // CHECK-NEXT: spmd.claim %{{.*}} at "router.gate" : {{.*}} -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.claim"(%{{.*}}) <{site = "router.gate"}>
  %1 = spmd.claim %x at "router.gate" : !any -> !whole
  return
}

// CHECK-LABEL: func @boundary
func.func @boundary(%x: !any) {
  // CHECK-NEXT: spmd.boundary %{{.*}} grad claims <> : !spmd.tensor<8x12xf32, #[[$MESH]], dp: ?, tp: ?> -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.boundary"(%{{.*}}) <{grad = #spmd.placements<>}>
  %0 = spmd.boundary %x grad claims <> : !any -> !whole
  // CHECK-NEXT: spmd.boundary %{{.*}} grad claims <dp: shard<0>, tp: partial<sum>> at "x"
  // GENERIC: "spmd.boundary"(%{{.*}}) <{grad = #spmd.placements<dp: shard<0>, tp: partial<sum>>, site = "x"}>
  %1 = spmd.boundary %x grad claims <dp: shard<0>, tp: partial<sum>> at "x" : !any -> !rows
  // CHECK-NEXT: spmd.boundary %{{.*}} grad converts <tp: replicate> at "x" {note}
  // GENERIC: "spmd.boundary"(%{{.*}}) <{converts, grad = #spmd.placements<tp: replicate>, site = "x"}> {note}
  %2 = spmd.boundary %x grad converts <tp: replicate> at "x" {note} : !any -> !any
  // CHECK-NEXT: spmd.boundary %{{.*}} grad claims <tp: ?>
  %3 = spmd.boundary %x grad claims <tp: ?> : !any -> !any
  return
}

// CHECK-LABEL: func @grad_all_reduce
func.func @grad_all_reduce(%x: !any, %y: !terms) {
  // CHECK-NEXT: spmd.grad_all_reduce %{{.*}} over ["tp"] : !spmd.tensor<8x12xf32, #[[$MESH]], dp: ?, tp: ?> -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.grad_all_reduce"(%{{.*}}) <{axes = ["tp"]}>
  %0 = spmd.grad_all_reduce %x over ["tp"] : !any -> !whole
  // CHECK-NEXT: spmd.grad_all_reduce %{{.*}} over ["tp", "dp"] at "x"
  // GENERIC: "spmd.grad_all_reduce"(%{{.*}}) <{axes = ["tp", "dp"], site = "x"}>
  %1 = spmd.grad_all_reduce %y over ["tp", "dp"] at "x" : !terms -> !any
  return
}

// CHECK-LABEL: func @collectives
func.func @collectives(%x: !any, %y: !terms, %z: !rows) {
  // CHECK-NEXT: spmd.all_reduce %{{.*}} over ["tp"] : !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>, tp: partial<sum>> -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>>
  // GENERIC: "spmd.all_reduce"(%{{.*}}) <{axes = ["tp"]}>
  %0 = spmd.all_reduce %y over ["tp"] : !terms -> !rows
  // CHECK-NEXT: spmd.all_reduce %{{.*}} over ["dp", "tp"] at "x" {{.*}} -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.all_reduce"(%{{.*}}) <{axes = ["dp", "tp"], site = "x"}>
  %1 = spmd.all_reduce %x over ["dp", "tp"] at "x" : !any -> !whole
  // CHECK-NEXT: spmd.all_gather %{{.*}} over "dp" dim 0 : !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>> -> !spmd.tensor<8x12xf32, #[[$MESH]]>
  // GENERIC: "spmd.all_gather"(%{{.*}}) <{axis = "dp", dim = 0 : i64}>
  %2 = spmd.all_gather %z over "dp" dim 0 : !rows -> !whole
  // CHECK-NEXT: spmd.reduce_scatter %{{.*}} over "tp" dim 1 : !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>, tp: partial<sum>> -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>, tp: shard<1>>
  // GENERIC: "spmd.reduce_scatter"(%{{.*}}) <{axis = "tp", dim = 1 : i64}>
  %3 = spmd.reduce_scatter %y over "tp" dim 1 : !terms
      -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // CHECK-NEXT: spmd.all_to_all %{{.*}} over "dp" from 0 to 1 : !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<0>> -> !spmd.tensor<8x12xf32, #[[$MESH]], dp: shard<1>>
  // GENERIC: "spmd.all_to_all"(%{{.*}}) <{axis = "dp", from = 0 : i64, to = 1 : i64}>
  %4 = spmd.all_to_all %z over "dp" from 0 to 1 : !rows
      -> !spmd.tensor<8x12xf32, #mesh, dp: shard<1>>
  // `?` on the axis is taken for what it has to be.
  // CHECK-NEXT: spmd.all_to_all
  %5 = spmd.all_to_all %x over "tp" from 1 to 0 : !any -> !any
  // CHECK-NEXT: spmd.all_gather
  %6 = spmd.all_gather %x over "tp" dim 1 : !any -> !any
  // CHECK-NEXT: spmd.reduce_scatter
  %7 = spmd.reduce_scatter %x over "tp" dim 1 : !any -> !any
  return
}

// A split axis names all its leaves.
// CHECK-LABEL: func @split_axes
func.func @split_axes(%x: !spmd.tensor<16x12xf32, #split, dp: partial<sum>>,
                      %y: !spmd.tensor<16x12xf32, #split, ep: partial<sum>>) {
  // CHECK-NEXT: spmd.all_reduce %{{.*}} over ["dp"] : !spmd.tensor<16x12xf32, #[[$SPLIT:mesh[0-9]*]], outer: partial<sum>, ep: partial<sum>> -> !spmd.tensor<16x12xf32, #[[$SPLIT]]>
  %0 = spmd.all_reduce %x over ["dp"] : !spmd.tensor<16x12xf32, #split, dp: partial<sum>>
      -> !spmd.tensor<16x12xf32, #split>
  // CHECK-NEXT: spmd.reduce_scatter %{{.*}} over "ep" dim 0
  %1 = spmd.reduce_scatter %y over "ep" dim 0 : !spmd.tensor<16x12xf32, #split, ep: partial<sum>>
      -> !spmd.tensor<16x12xf32, #split, ep: shard<0>>
  // CHECK-NEXT: spmd.boundary %{{.*}} grad claims <dp: shard<0>>
  %2 = spmd.boundary %y grad claims <dp: shard<0>> : !spmd.tensor<16x12xf32, #split, ep: partial<sum>>
      -> !spmd.tensor<16x12xf32, #split, ep: partial<sum>>
  // CHECK-NEXT: spmd.grad_all_reduce %{{.*}} over ["outer", "tp"]
  %3 = spmd.grad_all_reduce %y over ["outer", "tp"] : !spmd.tensor<16x12xf32, #split, ep: partial<sum>>
      -> !spmd.tensor<16x12xf32, #split, ep: partial<sum>>
  return
}
