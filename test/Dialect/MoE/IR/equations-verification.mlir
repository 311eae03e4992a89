// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Equations
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_no_arrow(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'moe.einsum' op (E1) equation "td,ed": has no '->'}}
  %0 = moe.einsum "td,ed" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_two_arrows(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "td->ed->te": '-' is not a letter a to z}}
  %0 = moe.einsum "td->ed->te" %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_capital(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "tD,eD->te": 'D' is not a letter a to z}}
  %0 = moe.einsum "tD,eD->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_space(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "td, ed->te": ' ' is not a letter a to z}}
  %0 = moe.einsum "td, ed->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_twice_in_a_term(%a: !spmd.tensor<10x10xf32, #mesh>) {
  // expected-error @below {{(E1) equation "tt->t": letter 't' stands twice in 'tt'}}
  %0 = moe.einsum "tt->t" %a
      : (!spmd.tensor<10x10xf32, #mesh>)
      -> !spmd.tensor<10xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_twice_in_the_result(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "td->tt": letter 't' stands twice in 'tt'}}
  %0 = moe.einsum "td->tt" %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x10xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_letter_from_nowhere(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "td,ed->tf": letter 'f' of the result is in no operand}}
  %0 = moe.einsum "td,ed->tf" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_number_of_terms(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "td,ed->te" has 2 terms for 1 operands}}
  %0 = moe.einsum "td,ed->te" %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_three_operands(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>, %c: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.einsum' op (E1) takes one or two operands}}
  %0 = moe.einsum "td,ed,td->te" %a, %b, %c
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>, !spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_empty(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{(E1) equation "": has no '->'}}
  %0 = moe.einsum "" %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e2_rank(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E2) operand 1 has rank 2, but its term 'edf' has 3 letters}}
  %0 = moe.einsum "td,edf->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e2_rank_of_result(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E2) the result has rank 2, but its term 't' has 1 letters}}
  %0 = moe.einsum "td,ed->t" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e2_size(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x11xf32, #mesh>) {
  // expected-error @below {{(E2) letter 'd' has the sizes 12 and 11}}
  %0 = moe.einsum "td,ed->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x11xf32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e2_size_of_result(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(E2) letter 'e' has the sizes 8 and 7}}
  %0 = moe.einsum "td,ed->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>)
      -> !spmd.tensor<10x7xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=8>
func.func @e3_meshes(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #other>) {
  // expected-error @below {{mixes the meshes #spmd.mesh<dp=2, tp=4> and #spmd.mesh<dp=8>}}
  %0 = moe.einsum "td,ed->te" %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<8x12xf32, #other>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_no_operand() {
  // expected-error @below {{'moe.einsum' op (E1) takes one or two operands}}
  %0 = "moe.einsum"() <{equation = "->"}> : () -> !spmd.tensor<f32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_no_rows(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{'moe.grouped_einsum' op (E1) needs the letter 'n' (rows) in two of its three terms and 'e' (experts) in the third, unlike "td,efd->tf"}}
  %0 = moe.grouped_einsum "td,efd->tf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_no_experts(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{'moe.grouped_einsum' op (E1) needs the letter 'n' (rows) in two of its three terms and 'e' (experts) in the third, unlike "nd,gfd->nf"}}
  %0 = moe.grouped_einsum "nd,gfd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

// Where an axis cuts the experts it would cut both dimensions.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_rows_and_experts_in_one_term(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{'moe.grouped_einsum' op (E1) needs the letter 'n' (rows) in two of its three terms and 'e' (experts) in the third, unlike "nd,ed->ne"}}
  %0 = moe.grouped_einsum "nd,ed->ne" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_experts_remain(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{'moe.grouped_einsum' op (E1) needs the letter 'n' (rows) in two of its three terms and 'e' (experts) in the third, unlike "nd,efd->efd"}}
  %0 = moe.grouped_einsum "nd,efd->efd" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<8x6x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_rows_summed_up(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<12x6xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{'moe.grouped_einsum' op (E1) needs the letter 'n' (rows) in two of its three terms and 'e' (experts) in the third, unlike "nd,df->ef"}}
  %0 = moe.grouped_einsum "nd,df->ef" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<12x6xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<8x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_rows_from_nowhere(%a: !spmd.tensor<8x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{letter 'n' of the result is in no operand}}
  %0 = moe.grouped_einsum "ed,efd->nf" %a, %b counts %c
      : (!spmd.tensor<8x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

// Only rows say what expert is theirs.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_experts_from_nowhere(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<30x6xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{letter 'e' of the result is in no operand}}
  %0 = moe.grouped_einsum "td,tf->edf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<30x6xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<8x12x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e1_one_term(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{(E1) equation "nd->nd" has 1 terms for 2 operands}}
  %0 = moe.grouped_einsum "nd->nd" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e2_grouped_size(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x13xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{(E2) letter 'd' has the sizes 12 and 13}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x13xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e3_grouped(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh>) {
  // expected-error @below {{(E3) mixes the element types 'f32' and 'f64'}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh>)
      -> !spmd.tensor<30x6xf64, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_number(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<7xi32, #mesh>) {
  // expected-error @below {{(E4) the number of counts is 7, but must be 8}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<7xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_rank(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<1x8x1xi32, #mesh>) {
  // expected-error @below {{(E4) counts must have rank 1, or 2 with parts, not '!spmd.tensor<1x8x1xi32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<1x8x1xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_parts(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<4x8xi32, #mesh>) {
  // expected-error @below {{(E4) 30 rows are no 4 equal parts}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<4x8xi32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_parts_cut(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<2x8xi32, #mesh, dp: shard<1>>) {
  // expected-error @below {{(E4) counts must be replicated or cut by part, not shard<1>; help: convert them with spmd.redistribute}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<2x8xi32, #mesh, dp: shard<1>>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_partial(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh, dp: partial<sum>>) {
  // expected-error @below {{(E4) counts must be replicated, not partial<sum>; help: convert them with spmd.redistribute}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh, dp: partial<sum>>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_cut(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xi32, #mesh, tp: shard<0>>) {
  // expected-error @below {{(E4) counts must be replicated, not shard<0>}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xi32, #mesh, tp: shard<0>>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @e4_floats(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<8x6x12xf32, #mesh>, %c: !spmd.tensor<8xf32, #mesh>) {
  // expected-error @below {{operand #2 must be placed tensor of i32, but got '!spmd.tensor<8xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.grouped_einsum "nd,efd->nf" %a, %b counts %c
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<8xf32, #mesh>)
      -> !spmd.tensor<30x6xf32, #mesh>
  return
}
