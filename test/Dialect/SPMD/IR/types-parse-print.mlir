// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s

// Each mesh is printed once, under an alias.

#mesh = #spmd.mesh<dp=2, tp=4>
// An axis split in two, one of which is split again.
#split = #spmd.mesh<dp=(outer=2, ep=(expert=2, "inner most"=3)), tp=1>
#none = #spmd.mesh<>
#lone = #spmd.axis<dp=(outer=2, ep=4)>

// CHECK-DAG: #[[$MESH:mesh[0-9]*]] = #spmd.mesh<dp=2, tp=4>
// CHECK-DAG: #[[$SPLIT:mesh[0-9]*]] = #spmd.mesh<dp=(outer=2, ep=(expert=2, "inner most"=3)), tp=1>
// CHECK-DAG: #[[$NONE:mesh[0-9]*]] = #spmd.mesh<>

// CHECK-LABEL: @placements
// CHECK-SAME: !spmd.tensor<8x4xf32, #[[$MESH]], dp: ?>
// CHECK-SAME: !spmd.tensor<8x4xf32, #[[$MESH]], tp: ?>
// CHECK-SAME: !spmd.tensor<8x4xbf16, #[[$MESH]], tp: shard<1>>
// CHECK-SAME: !spmd.tensor<8x4xf64, #[[$MESH]], dp: shard<0>, tp: ragged<0>>
// CHECK-SAME: !spmd.tensor<8x4xi32, #[[$MESH]], dp: partial<sum>, tp: partial<sum>>
// CHECK-SAME: !spmd.tensor<8xf32, #[[$MESH]], dp: partial<avg>>
// CHECK-SAME: !spmd.tensor<8xf32, #[[$MESH]], tp: partial<max>>
// CHECK-SAME: !spmd.tensor<8xf32, #[[$MESH]], tp: partial<min>>
func.func private @placements(
    !spmd.tensor<8x4xf32, #mesh, dp: ?>,
    !spmd.tensor<8x4xf32, #mesh, tp: ?>,
    !spmd.tensor<8x4xbf16, #mesh, tp: shard<1>>,
    !spmd.tensor<8x4xf64, #mesh, dp: shard<0>, tp: ragged<0>>,
    !spmd.tensor<8x4xi32, #mesh, dp: partial<sum>, tp: partial<sum>>,
    !spmd.tensor<8xf32, #mesh, dp: partial<avg>>,
    !spmd.tensor<8xf32, #mesh, tp: partial<max>>,
    !spmd.tensor<8xf32, #mesh, tp: partial<min>>)

// An axis left out is replicate, and one that is replicate is left out.
// CHECK-LABEL: @replicate_is_the_default
// CHECK-SAME: (!spmd.tensor<8x4xf32, #[[$MESH]]>, !spmd.tensor<8x4xf32, #[[$MESH]], tp: shard<1>>)
func.func private @replicate_is_the_default(
    !spmd.tensor<8x4xf32, #mesh, dp: replicate, tp: replicate>,
    !spmd.tensor<8x4xf32, #mesh, dp: replicate, tp: shard<1>>)

// Placements are printed in mesh order.
// CHECK-LABEL: @mesh_order
// CHECK-SAME: !spmd.tensor<8x4xf32, #[[$MESH]], dp: shard<0>, tp: shard<1>>
func.func private @mesh_order(
    !spmd.tensor<8x4xf32, #mesh, tp: shard<1>, dp: shard<0>>)

// A split axis stands for all its leaves, one leaf for itself.
// CHECK-LABEL: @split_axes
// CHECK-SAME: !spmd.tensor<24x4xf32, #[[$SPLIT]], outer: shard<0>, expert: shard<0>, "inner most": shard<0>>
// CHECK-SAME: !spmd.tensor<24x4xf32, #[[$SPLIT]], expert: shard<1>, "inner most": shard<1>>
// CHECK-SAME: !spmd.tensor<24x4xf32, #[[$SPLIT]], outer: shard<0>, "inner most": partial<sum>, tp: partial<sum>>
func.func private @split_axes(
    !spmd.tensor<24x4xf32, #split, dp: shard<0>>,
    !spmd.tensor<24x4xf32, #split, ep: shard<1>>,
    !spmd.tensor<24x4xf32, #split, outer: shard<0>, "inner most": partial<sum>, tp: partial<sum>>)

// CHECK-LABEL: @odd_shapes
// CHECK-SAME: !spmd.tensor<f32, #[[$MESH]]>
// CHECK-SAME: !spmd.tensor<f32, #[[$MESH]], tp: partial<sum>>
// CHECK-SAME: !spmd.tensor<0x4xf32, #[[$MESH]], dp: shard<0>>
// Uneven: 7 over 4 ranks.
// CHECK-SAME: !spmd.tensor<7x1xf32, #[[$MESH]], tp: shard<0>>
// CHECK-SAME: !spmd.tensor<4611686018427387904x1xi1, #[[$MESH]]>
// CHECK-SAME: !spmd.tensor<8x4xf32, #[[$NONE]]>
func.func private @odd_shapes(
    !spmd.tensor<f32, #mesh>,
    !spmd.tensor<f32, #mesh, tp: partial<sum>>,
    !spmd.tensor<0x4xf32, #mesh, dp: shard<0>>,
    !spmd.tensor<7x1xf32, #mesh, tp: shard<0>>,
    !spmd.tensor<4611686018427387904x1xi1, #mesh>,
    !spmd.tensor<8x4xf32, #none>)

// CHECK-LABEL: @attributes
// CHECK-SAME: axis = #spmd.axis<dp=(outer=2, ep=4)>
// CHECK-SAME: everywhere = #spmd.placements<>
// CHECK-SAME: names = #spmd.placements<nowhere: ?, "a b": shard<3>, tp: replicate, dp: partial<max>>
func.func private @attributes() attributes {
    axis = #lone, everywhere = #spmd.placements<>,
    names = #spmd.placements<nowhere: ?, "a b": shard<3>, tp: replicate, dp: partial<max>>}

// CHECK-LABEL: @argument_attributes
// CHECK-SAME: spmd.grad_placement = #spmd.placements<tp: partial<sum>>, spmd.name = "x"
// CHECK-SAME: spmd.name = "w", spmd.no_grad
// CHECK-SAME: spmd.name = "y"
// CHECK-SAME: attributes {spmd.vjp = @argument_attributes.vjp}
func.func private @argument_attributes(
    !spmd.tensor<8x4xf32, #mesh>
        {spmd.name = "x", spmd.grad_placement = #spmd.placements<tp: partial<sum>>},
    !spmd.tensor<8x4xf32, #mesh> {spmd.name = "w", spmd.no_grad})
    -> (!spmd.tensor<8x4xf32, #mesh> {spmd.name = "y"})
    attributes {spmd.vjp = @argument_attributes.vjp}
