//===- PlacementRuleTest.cpp - The rules beside recorded brute force ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/Inputs/rules.out and rules2.out say for some operations and for every
// placement of their operands what the result is, found by executing them on
// two ranks in exact rationals. Each operation of ours that computes the same
// has to agree. They were recorded by a program that shares nothing with this
// one.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Parser/Parser.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"
#include <map>

using namespace moe;
using namespace moe::spmd;
using llvm::StringRef;

namespace {

/// By the placements of the operands, "R,S0": that of the result, or "none".
using Table = llvm::StringMap<std::string>;

std::string readInput(StringRef name) {
  auto buffer =
      llvm::MemoryBuffer::getFile(MOE_TEST_INPUTS "/" + name.str(), true);
  return buffer ? (*buffer)->getBuffer().str() : "";
}

/// The lines of rules.out below `## heading [`.
Table readTable(StringRef heading) {
  Table table;
  bool inside = false;
  std::string text = readInput("rules.out");
  llvm::SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n');
  for (StringRef line : lines) {
    if (line.consume_front("## ")) {
      inside = line.starts_with((heading + " [").str());
    } else if (inside && line.contains(" -> ")) {
      auto [operands, result] = line.trim().split(" -> ");
      table[operands] = result.take_until(llvm::isSpace).str();
    }
  }
  return table;
}

/// The lines `name operands -> result` of rules2.out: what it has no line for
/// has no sound result.
Table readKinds(StringRef name) {
  Table table;
  std::string text = readInput("rules2.out");
  llvm::SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n');
  for (StringRef line : lines)
    if (line.consume_front((name + " ").str())) {
      auto [operands, result] = line.split(" -> ");
      table[operands] = result.str();
    }
  return table;
}

Placement parsePlacement(StringRef text) {
  if (text == "R")
    return Placement::replicate();
  if (text == "P")
    return Placement::partial();
  if (text == "Pa")
    return Placement::partial(ReductionKind::Avg);
  if (text == "Pm")
    return Placement::partial(ReductionKind::Max);
  if (text == "Pn")
    return Placement::partial(ReductionKind::Min);
  EXPECT_TRUE(text.starts_with("S")) << text.str();
  return Placement::shard(text.drop_front().front() - '0');
}

/// "none" also for a sum that no placement gives a meaning.
std::string str(const Transfer &transfer) {
  if (!transfer.ok || transfer.results[0].isMixed())
    return "none";
  Placement result = transfer.results[0];
  if (result.isReplicate())
    return "R";
  if (result.isShard())
    return "S" + std::to_string(result.dim);
  if (result.isPartial())
    switch (result.reduction) {
    case ReductionKind::Sum:
      return "P";
    case ReductionKind::Avg:
      return "Pa";
    case ReductionKind::Max:
      return "Pm";
    case ReductionKind::Min:
      return "Pn";
    }
  return result.str();
}

/// One operation of ours beside one of the recordings'.
struct Entry {
  const char *name;
  const char *heading;
  /// Types are shapes: `4x2` of f32, `i4x2` of i32, replicated.
  const char *arguments;
  const char *operation;
  const char *signature;
  /// Operands after the recorded ones, which are replicated.
  unsigned numFixed = 0;
};

void PrintTo(const Entry &entry, std::ostream *os) { *os << entry.name; }

class RecordedRule : public ::testing::TestWithParam<Entry> {
protected:
  RecordedRule() {
    context.loadDialect<mlir::func::FuncDialect, SPMDDialect, MoEDialect>();
  }

  /// Every `AxB` of the texts is a replicated tensor of f32, `iAxB` of i32.
  static std::string expand(StringRef text) {
    std::string result;
    llvm::SmallVector<StringRef> words;
    text.split(words, ' ');
    for (StringRef word : words) {
      StringRef shape = word.rtrim(",):").ltrim("(");
      StringRef before = word.take_until([](char c) { return c != '('; });
      StringRef after = word.drop_front(before.size() + shape.size());
      StringRef element = shape.consume_front("i") ? "i32" : "f32";
      bool isShape = !shape.empty() && llvm::isDigit(shape.front());
      result += before.str();
      result +=
          isShape
              ? ("!spmd.tensor<" + shape + "x" + element + ", #mesh>").str()
              : word.drop_front(before.size()).drop_back(after.size()).str();
      result += after.str() + " ";
    }
    return result;
  }

  PlacementOpInterface parse(const Entry &entry) {
    std::string text = "#mesh = #spmd.mesh<tp=2>\nfunc.func @f(" +
                       expand(entry.arguments) +
                       ") {\n  %0 = " + entry.operation + " : " +
                       expand(entry.signature) + "\n  return\n}";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    if (!module)
      return {};
    auto function = *module->getOps<mlir::func::FuncOp>().begin();
    return llvm::cast<PlacementOpInterface>(function.getBody().front().front());
  }

  std::string apply(PlacementOpInterface op, StringRef operands,
                    unsigned numFixed) {
    llvm::SmallVector<StringRef> names;
    operands.split(names, ',');
    llvm::SmallVector<Placement> placements;
    for (StringRef name : names)
      placements.push_back(parsePlacement(name));
    placements.append(numFixed, Placement::replicate());
    EXPECT_EQ(placements.size(), op->getNumOperands());
    return str(op.transferPlacements(/*axis=*/0, placements));
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST_P(RecordedRule, Agrees) {
  const Entry &entry = GetParam();
  Table table = readTable(entry.heading);
  PlacementOpInterface op = parse(entry);
  ASSERT_TRUE(op);
  // Replicate, partial and at least one cut, of each operand.
  unsigned numOperands = op->getNumOperands() - entry.numFixed;
  ASSERT_GE(table.size(), numOperands == 1 ? 3u : 9u);
  for (const auto &line : table)
    EXPECT_EQ(apply(op, line.getKey(), entry.numFixed), line.getValue())
        << entry.name << " " << line.getKey().str();
}

const Entry recorded[] = {
    {"add", "add(x,y)", "%x: 4x2, %y: 4x2", "moe.add %x, %y",
     "(4x2, 4x2) -> 4x2"},
    {"sub", "add(x,y)", "%x: 4x2, %y: 4x2", "moe.sub %x, %y",
     "(4x2, 4x2) -> 4x2"},
    {"mul", "mul(x,y)", "%x: 4x2, %y: 4x2", "moe.mul %x, %y",
     "(4x2, 4x2) -> 4x2"},
    {"mul_as_einsum", "mul(x,y)", "%x: 4x2, %y: 4x2",
     "moe.einsum \"ab,ab->ab\" %x, %y", "(4x2, 4x2) -> 4x2"},
    {"div", "div(x,y)", "%x: 4x2, %y: 4x2", "moe.div %x, %y",
     "(4x2, 4x2) -> 4x2"},
    {"scale", "scale c*x", "%x: 4x2", "moe.scale %x by 3.0", "(4x2) -> 4x2"},
    {"silu", "relu", "%x: 4x2", "moe.silu %x", "(4x2) -> 4x2"},
    {"sigmoid", "square", "%x: 4x2", "moe.sigmoid %x", "(4x2) -> 4x2"},
    {"product", "matmul MK,KN", "%x: 2x4, %y: 4x2",
     "moe.einsum \"mk,kn->mn\" %x, %y", "(2x4, 4x2) -> 2x2"},
    {"batched_product", "bmm combine [T,1,K]x[T,K,D]", "%x: 2x2x4, %y: 2x4x2",
     "moe.einsum \"tmk,tkd->tmd\" %x, %y", "(2x2x4, 2x4x2) -> 2x2x2"},
    {"sum_of_columns", "sum dim0", "%x: 4x2", "moe.einsum \"ab->b\" %x",
     "(4x2) -> 2"},
    {"sum_of_rows", "sum dim1", "%x: 4x2", "moe.einsum \"ab->a\" %x",
     "(4x2) -> 4"},
    {"sum_over_k", "sum over k [T,K,D] dim1", "%x: 2x4x2",
     "moe.einsum \"tkd->td\" %x", "(2x4x2) -> 2x2"},
    {"softmax", "softmax dim1", "%x: 4x2", "moe.softmax %x", "(4x2) -> 4x2"},
    {"normalize", "softmax dim1", "%x: 4x2", "moe.normalize %x",
     "(4x2) -> 4x2"},
    {"top_k", "topk vals last dim", "%x: 2x4", "moe.top_k %x", "(2x4) -> i2x2"},
    {"dispatch", "gather rows idx=R", "%x: 4x2, %i: i4x2",
     "moe.dispatch %x, %i of 2", "(4x2, i4x2) -> 8x2", 1},
    {"combine", "scatter-add rows idx=R", "%x: 6x2, %i: i3x2",
     "moe.combine %x, %i of 2", "(6x2, i3x2) -> 3x2", 1},
    {"grouped_einsum",
     "grouped experts (x[T,D],w[E,D,H]) idx=R, non-local experts ->0",
     "%x: 6x2, %w: 4x2x2, %c: i4",
     "moe.grouped_einsum \"nd,edh->nh\" %x, %w counts %c",
     "(6x2, 4x2x2, i4) -> 6x2", 1},
    {"transposition", "transpose", "%x: 4x2", "moe.einsum \"ab->ba\" %x",
     "(4x2) -> 2x4"},
};

INSTANTIATE_TEST_SUITE_P(Operations, RecordedRule,
                         ::testing::ValuesIn(recorded), [](const auto &info) {
                           return std::string(info.param.name);
                         });

/// Beside rules2.out.
class RecordedKinds : public RecordedRule {
protected:
  /// Every result of ours for `placements` is a sound one; where `complete`,
  /// every sound one is ours.
  void compare(const Entry &entry, StringRef placements, bool complete,
               bool onlyKinds) {
    Table table = readKinds(entry.heading);
    PlacementOpInterface op = parse(entry);
    ASSERT_TRUE(op);
    ASSERT_FALSE(table.empty());
    llvm::SmallVector<StringRef> names;
    placements.split(names, ',');
    llvm::SmallVector<std::string> lines{""};
    for (unsigned i = 0; i < op->getNumOperands(); ++i) {
      llvm::SmallVector<std::string> longer;
      for (const std::string &line : lines)
        for (StringRef name : names)
          longer.push_back(line + (i ? "," : "") + name.str());
      lines = std::move(longer);
    }
    for (const std::string &line : lines) {
      // The recording leaves out what rules.out has.
      bool hasKind = StringRef(line).contains("Pa") ||
                     StringRef(line).contains("Pm") ||
                     StringRef(line).contains("Pn");
      if (onlyKinds && !hasKind)
        continue;
      std::string ours = apply(op, line, /*numFixed=*/0);
      auto known = table.find(line);
      std::string sound = known == table.end() ? "none" : known->getValue();
      if (complete || ours != "none")
        EXPECT_EQ(ours, sound) << entry.name << " " << line;
    }
  }
};

TEST_F(RecordedKinds, Add) {
  compare(
      {"add", "add", "%x: 4x2, %y: 4x2", "moe.add %x, %y", "(4x2, 4x2) -> 4x2"},
      "R,P,Pa,Pm,Pn,S0", /*complete=*/true, /*onlyKinds=*/true);
}

TEST_F(RecordedKinds, Mul) {
  compare(
      {"mul", "mul", "%x: 4x2, %y: 4x2", "moe.mul %x, %y", "(4x2, 4x2) -> 4x2"},
      "R,P,Pa,Pm,Pn,S0", /*complete=*/true, /*onlyKinds=*/true);
}

// A positive factor preserves a max, a negative one makes it a min.
TEST_F(RecordedKinds, Scale) {
  compare(
      {"scale", "scale +3", "%x: 4x2", "moe.scale %x by 3.0", "(4x2) -> 4x2"},
      "R,P,Pa,Pm,Pn,S0", /*complete=*/true, /*onlyKinds=*/true);
  compare({"neg", "neg", "%x: 4x2", "moe.scale %x by -1.0", "(4x2) -> 4x2"},
          "R,P,Pa,Pm,Pn,S0", /*complete=*/true, /*onlyKinds=*/true);
}

TEST_F(RecordedKinds, Sum) {
  compare(
      {"sum", "sum dim0", "%x: 4x2", "moe.einsum \"ab->b\" %x", "(4x2) -> 2"},
      "R,P,Pa,Pm,Pn,S0", /*complete=*/true, /*onlyKinds=*/true);
}

// What is not monotone preserves no kind; silu is not.
TEST_F(RecordedKinds, Nonlinear) {
  for (const char *name : {"silu", "sigmoid", "softmax", "normalize"}) {
    std::string operation = std::string("moe.") + name + " %x";
    compare({name, "relu", "%x: 4x2", operation.c_str(), "(4x2) -> 4x2"},
            "Pa,Pm,Pn", /*complete=*/false, /*onlyKinds=*/true);
  }
}

TEST_F(RecordedKinds, Derivatives) {
  for (auto [name, heading] : {std::pair("softmax_vjp", "softmax_vjp(s,ds)"),
                               std::pair("normalize_vjp", "softmax_vjp(s,ds)"),
                               std::pair("sigmoid_vjp", "relu_vjp(x,dy)"),
                               std::pair("silu_vjp", "relu_vjp(x,dy)")}) {
    std::string operation = std::string("moe.") + name + " %x, %y";
    compare({name, heading, "%x: 4x2, %y: 4x2", operation.c_str(),
             "(4x2, 4x2) -> 4x2"},
            "R,P,S0,S1", /*complete=*/true, /*onlyKinds=*/false);
  }
}

// Not recorded: a max that is subtracted is a min.
TEST_F(RecordedKinds, SubtractedMax) {
  PlacementOpInterface op = parse(
      {"sub", "", "%x: 4x2, %y: 4x2", "moe.sub %x, %y", "(4x2, 4x2) -> 4x2"});
  ASSERT_TRUE(op);
  EXPECT_EQ(apply(op, "R,Pm", 0), "Pn");
  EXPECT_EQ(apply(op, "R,Pn", 0), "Pm");
  EXPECT_EQ(apply(op, "Pm,R", 0), "Pm");
  EXPECT_EQ(apply(op, "Pn,R", 0), "Pn");
  EXPECT_EQ(apply(op, "R,Pa", 0), "Pa");
  EXPECT_EQ(apply(op, "Pa,Pa", 0), "Pa");
}

// A rule's number names one operation, or those that one model reads.
TEST(RuleNumbers, NoneIsGivenTwice) {
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  std::map<unsigned, std::string> owners;
  for (mlir::RegisteredOperationName name : context.getRegisteredOperations()) {
    auto *rules = name.getInterface<PlacementOpInterface>();
    if (!rules)
      continue;
    std::string owner = name.hasInterface<mlir::linalg::LinalgOp>()
                            ? "structured operations"
                            : name.getStringRef().str();
    unsigned number = rules->getRuleNumber();
    EXPECT_NE(number, 0U) << owner;
    auto [entry, isNew] = owners.try_emplace(number, owner);
    EXPECT_EQ(entry->second, owner) << "both have number " << number;
  }
  EXPECT_GT(owners.size(), 70U);
}

} // namespace
