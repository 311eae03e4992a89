//===- MissingGPUsTest.cpp - The runtime without its part for GPUs --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/CUDA.h"
#include "moert/Rendezvous.h"
#include "gtest/gtest.h"

using namespace moert;

static void expectRefusal(const cuda::Report &report) {
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error,
            "this moe-run was built without its back end for GPUs");
  EXPECT_NE(report.help.find("tools/setup --cuda"), std::string::npos);
}

TEST(MissingGPUsTest, SaysWhatWasLeftOut) {
  Program program({}, nullptr);
  std::vector<LocalTensors> arguments, results;
  expectRefusal(cuda::runThreads(program, arguments, results, {}));
  Rendezvous rendezvous({}, 0, 1, 1);
  expectRefusal(cuda::runRank(program, rendezvous, arguments, results, {}));
}
