//===- Counterexample.h - Data on which a claim is wrong --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_COUNTEREXAMPLE_H
#define MOE_ANALYSIS_COUNTEREXAMPLE_H

#include "moe/Analysis/PlacementAnalysis.h"

namespace moe::spmd {

/// Adds to an error, as a note, the smallest data on 2 ranks of the finding's
/// axis on which what is believed is wrong: what is given, what each rank holds
/// and what it would have to hold. All other axes have one rank, dimensions are
/// as small as they can be, and arguments with one entry that is not zero are
/// tried first. The reference interpreter computes it in float64; like the
/// verifier it goes on with what the other false claims say.
///
/// Does nothing for a finding that is about no belief (R1 to R6).
void noteCounterexample(mlir::InFlightDiagnostic &diag,
                        mlir::func::FuncOp function,
                        const PlacementAnalysis &analysis,
                        const Finding &finding);

} // namespace moe::spmd

#endif // MOE_ANALYSIS_COUNTEREXAMPLE_H
