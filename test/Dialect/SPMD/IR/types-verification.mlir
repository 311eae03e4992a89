// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

// expected-error @below {{(M1) mesh axis 'tp' has size 0; a size is at least 1 and below 2^31}}
#mesh = #spmd.mesh<tp=0>

// -----

// expected-error @below {{(M1) mesh axis 'tp' has size -2; a size is at least 1}}
#mesh = #spmd.mesh<dp=2, tp=-2>

// -----

// expected-error @below {{(M1) mesh axis 'tp' has size 2147483648; a size is at least 1 and below 2^31}}
#mesh = #spmd.mesh<tp=2147483648>

// -----

// expected-error @below {{integer value too large}}
#mesh = #spmd.mesh<tp=99999999999999999999999>

// -----

// expected-error @below {{(M1) mesh has more than 2^31 ranks}}
#mesh = #spmd.mesh<dp=65536, tp=65536>

// -----

// expected-error @below {{axis 'dp' is too large}}
#mesh = #spmd.mesh<dp=(a=65536, b=65536)>

// -----

// expected-error @below {{(M2) mesh has two axes named 'tp'}}
#mesh = #spmd.mesh<tp=2, tp=4>

// -----

// A sub-axis may not have the name of its own axis, or of another one.
// expected-error @below {{(M2) mesh has two axes named 'dp'}}
#mesh = #spmd.mesh<dp=(dp=2, ep=4)>

// -----

// expected-error @below {{(M2) mesh has two axes named 'tp'}}
#mesh = #spmd.mesh<dp=(outer=2, tp=4), tp=2>

// -----

// expected-error @below {{(M3) mesh axis 'dp' is split into one sub-axis; give its size instead}}
#mesh = #spmd.mesh<dp=(outer=2)>

// -----

// expected-error @below {{expected valid keyword or string}}
#mesh = #spmd.mesh<dp=()>

// -----

// Text that nests without end is refused before the parser's stack is used up.
// expected-error @below {{mesh axes nest deeper than 64 levels}}
#mesh = #spmd.mesh<a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(a=(b=2))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))>

// -----

#deep = #spmd.mesh<a0=(b0=1, a1=(b1=1, a2=(b2=1, a3=(b3=1, a4=(b4=1, a5=(b5=1, a6=(b6=1, a7=(b7=1, a8=(b8=1, a9=(b9=1, a10=(b10=1, a11=(b11=1, a12=(b12=1, a13=(b13=1, a14=(b14=1, a15=(b15=1, a16=(b16=1, a17=(b17=1, a18=(b18=1, a19=(b19=1, a20=(b20=1, a21=(b21=1, a22=(b22=1, a23=(b23=1, a24=(b24=1, a25=(b25=1, a26=(b26=1, a27=(b27=1, a28=(b28=1, a29=(b29=1, a30=(b30=1, a31=(b31=1, a32=(b32=1, a33=(b33=1, a34=(b34=1, a35=(b35=1, a36=(b36=1, a37=(b37=1, a38=(b38=1, a39=(b39=1, a40=(b40=1, a41=(b41=1, a42=(b42=1, a43=(b43=1, a44=(b44=1, a45=(b45=1, a46=(b46=1, a47=(b47=1, a48=(b48=1, a49=(b49=1, a50=(b50=1, a51=(b51=1, a52=(b52=1, a53=(b53=1, a54=(b54=1, a55=(b55=1, a56=(b56=1, a57=(b57=1, a58=(b58=1, a59=(b59=1, a60=(b60=1, a61=(b61=1, a62=(b62=1, a63=(b63=1, z=1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))>

// -----

// expected-error @below {{a mesh axis needs a name}}
#mesh = #spmd.mesh<""=2>

// -----

// expected-error @below {{expected '='}}
#mesh = #spmd.mesh<tp>

// -----

// expected-error @below {{expected '<'}}
#mesh = #spmd.mesh

// -----

// expected-error @below {{(M3) mesh axis 'dp' is split into one sub-axis}}
#axis = #spmd.axis<dp=(outer=2)>

// -----

//===----------------------------------------------------------------------===//
// Lists of placements
//===----------------------------------------------------------------------===//

// expected-error @below {{axis 'tp' is placed twice}}
#placements = #spmd.placements<tp: shard<0>, tp: shard<0>>

// -----

// expected-error @below {{unknown placement 'replicated'; use ?, replicate, shard<dim>, ragged<dim> or partial<kind>}}
#placements = #spmd.placements<tp: replicated>

// -----

// expected-error @below {{unknown reduction 'product'; use sum, avg, max or min}}
#placements = #spmd.placements<tp: partial<product>>

// -----

// expected-error @below {{(T2) there is no dimension -1}}
#placements = #spmd.placements<tp: shard<-1>>

// -----

// expected-error @below {{(T2) there is no dimension 32768}}
#placements = #spmd.placements<tp: ragged<32768>>

// -----

// expected-error @below {{expected '<'}}
#placements = #spmd.placements<tp: shard>

// -----

//===----------------------------------------------------------------------===//
// Placed tensors
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{the mesh has no axis 'ep'; it has 'dp', 'tp'}}
func.func private @unknown_axis(!spmd.tensor<8x4xf32, #mesh, ep: shard<0>>)

// -----

// expected-error @below {{the mesh has no axis 'tp'; it has none}}
func.func private @no_axes(!spmd.tensor<8x4xf32, #spmd.mesh<>, tp: ?>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{axis 'tp' is placed twice}}
func.func private @placed_twice(!spmd.tensor<8x4xf32, #mesh, tp: ?, dp: ?, tp: ?>)

// -----

// (T1) One placement per leaf: a split axis and its leaf name the same one.
#mesh = #spmd.mesh<dp=(outer=2, ep=4), tp=2>
// expected-error @below {{axis 'ep' is placed twice}}
func.func private @placed_twice(!spmd.tensor<8x4xf32, #mesh, dp: ?, ep: shard<0>>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T2) shard<2> cuts a dimension that a tensor of rank 2 does not have}}
func.func private @no_such_dimension(!spmd.tensor<8x4xf32, #mesh, tp: shard<2>>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T2) ragged<0> cuts a dimension that a tensor of rank 0 does not have}}
func.func private @scalar(!spmd.tensor<f32, #mesh, tp: ragged<0>>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T3) one kind of reduction per value, not partial<sum> and partial<max>}}
func.func private @two_kinds(!spmd.tensor<8x4xf32, #mesh, dp: partial<sum>, tp: partial<max>>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T4) the shape of a placed tensor is static}}
func.func private @dynamic(!spmd.tensor<?x4xf32, #mesh>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T4) a placed tensor has fewer than 2^63 elements}}
func.func private @huge(!spmd.tensor<4294967296x4294967296xi32, #mesh>)

// -----

// An empty tensor's other dimensions multiply as well.
#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{(T4) a placed tensor has fewer than 2^63 elements}}
func.func private @huge_but_empty(!spmd.tensor<0x4294967296x4294967296xf32, #mesh>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{expected non-function type}}
func.func private @unranked(!spmd.tensor<*xf32, #mesh>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{expected non-function type}}
func.func private @negative(!spmd.tensor<-8xf32, #mesh>)

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{element type must be an integer or a float, not 'index'}}
func.func private @index(!spmd.tensor<8x4xindex, #mesh>)

// -----

// expected-error @below {{invalid kind of attribute specified}}
func.func private @not_a_mesh(!spmd.tensor<8x4xf32, 2 : i32>)

// -----

// A mesh cannot be left out.
// expected-error @below {{expected ','}}
func.func private @no_mesh(!spmd.tensor<8x4xf32>)

// -----

//===----------------------------------------------------------------------===//
// Attributes of functions, arguments and results
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.name' of argument 1 must be a non-empty string}}
func.func private @empty_name(!spmd.tensor<8x4xf32, #mesh>, !spmd.tensor<8x4xf32, #mesh> {spmd.name = ""})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.name' of result 0 must be a non-empty string}}
func.func private @number_as_name() -> (!spmd.tensor<8x4xf32, #mesh> {spmd.name = 3 : i32})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.no_grad' of argument 0 takes no value}}
func.func private @no_grad_with_value(!spmd.tensor<8x4xf32, #mesh> {spmd.no_grad = true})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.grad_placement' of argument 0 must be a #spmd.placements on a placed tensor}}
func.func private @not_placements(!spmd.tensor<8x4xf32, #mesh> {spmd.grad_placement = "tp"})

// -----

// expected-error @below {{attribute 'spmd.grad_placement' of argument 0 must be a #spmd.placements on a placed tensor}}
func.func private @not_placed(tensor<8x4xf32> {spmd.grad_placement = #spmd.placements<>})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.grad_placement' of argument 0 is on a tensor of 'i32', which has no gradient}}
func.func private @no_gradient(!spmd.tensor<8x4xi32, #mesh> {spmd.grad_placement = #spmd.placements<>})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.grad_placement' of argument 0: the mesh has no axis 'dp'; it has 'tp'}}
func.func private @grad_on_unknown_axis(!spmd.tensor<8x4xf32, #mesh> {spmd.grad_placement = #spmd.placements<dp: ?>})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.grad_placement' of argument 0: (T2) shard<7> cuts a dimension that a tensor of rank 2 does not have}}
func.func private @grad_cut_nowhere(!spmd.tensor<8x4xf32, #mesh> {spmd.grad_placement = #spmd.placements<tp: shard<7>>})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.no_grad' of result 0 is not known to the spmd dialect}}
func.func private @no_grad_on_result() -> (!spmd.tensor<8x4xf32, #mesh> {spmd.no_grad})

// -----

#mesh = #spmd.mesh<tp=4>
// expected-error @below {{attribute 'spmd.nograd' of argument 0 is not known to the spmd dialect}}
func.func private @misspelt(!spmd.tensor<8x4xf32, #mesh> {spmd.nograd})

// -----

// expected-error @below {{'func.func' op has the attribute 'spmd.vjp', which the spmd dialect does not know here; it knows 'spmd.vjp' on functions, and 'spmd.name', 'spmd.no_grad' and 'spmd.grad_placement' on arguments and results}}
func.func private @vjp_is_a_symbol() attributes {spmd.vjp = "f"}

// -----

// expected-error @below {{has the attribute 'spmd.name', which the spmd dialect does not know here}}
module attributes {spmd.name = "x"} {}
