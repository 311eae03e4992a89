//===- Missing.cpp - In place of the back end for GPUs --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/CUDA.h"

using namespace moert;
using namespace moert::cuda;

static Report explain() {
  Report report;
  report.outcome = RunReport::Failed;
  report.error = "this moe-run was built without its back end for GPUs";
  report.help = "run tools/setup --cuda, configure and build again; or use "
                "--backend cpu";
  return report;
}

Report moert::cuda::runThreads(const Program &, std::vector<LocalTensors> &,
                               std::vector<LocalTensors> &, const Options &) {
  return explain();
}

Report moert::cuda::runRank(const Program &, Rendezvous &,
                            std::vector<LocalTensors> &,
                            std::vector<LocalTensors> &, const Options &) {
  return explain();
}
