// All kernels, for one instruction set: this file is compiled once for each, with INSTRUCTIONS its name and the
// compiler flags that belong to it. No standard C++ header may be read here: its inline functions would be compiled for
// the newer processor, and the linker might let code for older ones use them.
#include "activation.h"
#include "adamw.h"
#include "attention.h"
#include "bfloat16-pairs.h"
#include "bfloat16-tiles.h"
#include "bias.h"
#include "collect.h"
#include "cross-entropy.h"
#include "few-rows.h"
#include "grouped.h"
#include "low-rank.h"
#include "many-rows.h"
#include "norm.h"
#include "packed.h"
#include "random.h"
#include "rope.h"
#include "tensorflow.h"
#include "vocabulary-loss.h"

namespace peft {
namespace INSTRUCTIONS {

extern const Operation operations[];
const Operation operations[] = {
    {"AddBias", {"x: float", "bias: float"}, {"y: float"}, {}, addBias},
    {"Norm",
     {"x: float", "residual: float", "gamma: float", "beta: float"},
     {"y: float"},
     {"epsilon: float", "centred: bool"},
     norm<false>},
    {"NormKept",
     {"x: float", "residual: float", "gamma: float", "beta: float"},
     {"y: float", "normed: float", "rstd: float"},
     {"epsilon: float", "centred: bool"},
     norm<true>},
    {"NormGrad",
     {"dy: float", "normed: float", "rstd: float", "gamma: float"},
     {"dx: float"},
     {"centred: bool"},
     normGrad},
    {"NormParameterGrad", {"dy: float", "normed: float"}, {"dgamma: float", "dbeta: float"}, {}, normParameterGrad},
    {"Gelu", {"x: float"}, {"y: float"}, {}, activate<Gelu>},
    {"GeluGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<Gelu>},
    {"GeluTanh", {"x: float"}, {"y: float"}, {}, activate<GeluTanh>},
    {"GeluTanhGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<GeluTanh>},
    {"Silu", {"x: float"}, {"y: float"}, {}, activate<Silu>},
    {"SiluGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<Silu>},
    {"QuickGelu", {"x: float"}, {"y: float"}, {}, activate<QuickGelu>},
    {"QuickGeluGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<QuickGelu>},
    {"Relu", {"x: float"}, {"y: float"}, {}, activate<Relu>},
    {"ReluGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<Relu>},
    {"Tanh", {"x: float"}, {"y: float"}, {}, activate<Tanh>},
    {"TanhGrad", {"dy: float", "x: float"}, {"dx: float"}, {}, activateGrad<Tanh>},
    {"GatedSilu", {"gate: float", "up: float"}, {"y: float"}, {}, gated<Silu>},
    {"GatedSiluGrad", {"dy: float", "gate: float", "up: float"}, {"dgate: float", "dup: float"}, {}, gatedGrad<Silu>},
    {"GatedGelu", {"gate: float", "up: float"}, {"y: float"}, {}, gated<Gelu>},
    {"GatedGeluGrad", {"dy: float", "gate: float", "up: float"}, {"dgate: float", "dup: float"}, {}, gatedGrad<Gelu>},
    {"GatedGeluTanh", {"gate: float", "up: float"}, {"y: float"}, {}, gated<GeluTanh>},
    {"GatedGeluTanhGrad", {"dy: float", "gate: float", "up: float"}, {"dgate: float", "dup: float"}, {}, gatedGrad<GeluTanh>},
    {"Dropout", {"x: float", "seed: int32"}, {"y: float"}, {"rate: float"}, dropout},
    {"Uniform", {"shape: int32", "seed: int32"}, {"y: float"}, {}, uniform},
    {"Attention",
     {"q: float", "k: float", "v: float", "key_bias: float", "seed: int32", "borders: int32"},
     {"y: float"},
     {"scale: float", "rate: float", "causal: bool", "window: float"},
     attention<false>},
    {"AttentionGrad",
     {"q: float", "k: float", "v: float", "key_bias: float", "seed: int32", "borders: int32", "dy: float"},
     {"dq: float", "dk: float", "dv: float"},
     {"scale: float", "rate: float", "causal: bool", "window: float"},
     attentionGrad<false>},
    {"GeneralAttention",
     {"q: float", "k: float", "v: float", "key_bias: float", "seed: int32", "borders: int32", "bias: float", "sinks: float"},
     {"y: float"},
     {"scale: float", "rate: float", "causal: bool", "window: float", "cap: float"},
     attention<true>},
    {"GeneralAttentionGrad",
     {"q: float", "k: float", "v: float", "key_bias: float", "seed: int32", "borders: int32", "bias: float", "sinks: float", "dy: float"},
     {"dq: float", "dk: float", "dv: float", "dbias: float", "dsinks: float"},
     {"scale: float", "rate: float", "causal: bool", "window: float", "cap: float", "bias_grad: bool"},
     attentionGrad<true>},
    {"CrossEntropy", {"logits: float", "labels: int32"}, {"loss: float", "log_sums: float"}, {}, crossEntropy},
    {"CrossEntropyGrad",
     {"dy: float", "logits: float", "labels: int32", "log_sums: float"},
     {"dlogits: float"},
     {},
     crossEntropyGrad},
    {"VocabularyPart",
     {"logits: float", "labels: int32", "weights: float", "sums: float"},
     {"next: float", "shrink: float"},
     {"words: float", "first: float", "factor: float", "cap: float"},
     vocabularyPart},
    {"ScaledSum", {"sum: float", "factors: float", "more: float"}, {"done: float"}, {}, scaledSum},
    {"FewRows", {"x: float", "weight: float", "bias: float"}, {"y: float"}, {}, fewRows<Input, float>},
    {"FewRowsBfloat16", {"x: float", "weight: bfloat16", "bias: float"}, {"y: float"}, {}, fewRows<Halves, uint16_t>},
    {"ManyRows", {"x: float", "weight: float", "bias: float"}, {"y: float"}, {"transposed: bool"}, manyRows<Input, float>},
    {"ManyRowsBfloat16", {"x: float", "weight: bfloat16", "bias: float"}, {"y: float"}, {"transposed: bool"}, manyRows<Halves, uint16_t>},
    {"Grouped", {"x: float", "weight: float", "experts: int32"}, {"y: float"}, {"transposed: bool"}, grouped<Input, float>},
    {"GroupedBfloat16", {"x: float", "weight: bfloat16", "experts: int32"}, {"y: float"}, {"transposed: bool"}, grouped<Halves, uint16_t>},
    {"ProductNf4",
     {"x: float", "codes: uint8", "scales: float", "nested: uint8", "map: float", "experts: int32", "bias: float"},
     {"y: float"},
     {"transposed: bool", "count: float", "height: float", "first: float", "rows: float", "columns: float", "block: float", "nested_block: float", "rounded: bool"},
     nf4Product},
    {"ProductInt8",
     {"x: float", "codes: uint8", "factors: float", "experts: int32", "bias: float"},
     {"y: float"},
     {"transposed: bool", "count: float", "height: float", "first: float", "rows: float", "columns: float", "rounded: bool", "threshold: float"},
     int8Product},
    {"GroupedOuter", {"dy: float", "x: float", "experts: int32"}, {"dw: float"}, {"count: float"}, groupedOuter},
    {"Collect", {"y: float", "weights: float", "places: int32"}, {"sum: float"}, {"each: float"}, collect},
    {"CollectGrad", {"dy: float", "y: float", "weights: float", "places: int32"}, {"dy_rows: float", "dweights: float"}, {"each: float"}, collectGrad},
    {"LowRank",
     {"y: float", "x: float", "a: float", "b: float"},
     {"sum: float", "h: float"},
     {"scale: float"},
     lowRank<false>},
    {"LowRankGrad",
     {"dy: float", "x: float", "h: float", "a: float", "b: float"},
     {"dx: float", "da: float", "db: float"},
     {"scale: float", "to_x: bool"},
     lowRankGrad<false>},
    {"GroupedLowRank",
     {"y: float", "x: float", "a: float", "b: float", "experts: int32"},
     {"sum: float", "h: float"},
     {"scale: float", "count: float"},
     lowRank<true>},
    {"GroupedLowRankGrad",
     {"dy: float", "x: float", "h: float", "a: float", "b: float", "experts: int32"},
     {"dx: float", "da: float", "db: float"},
     {"scale: float", "to_x: bool", "count: float"},
     lowRankGrad<true>},
    {"AdamW",
     {"variable: float", "mean: float", "square: float", "grad: float", "numbers: float"},
     {"next_variable: float", "next_mean: float", "next_square: float"},
     {},
     adamW},
    {"Rope", {"x: float", "cos: float", "sin: float"}, {"y: float"}, {"back: bool"}, rope},
    {"Rotation", {"positions: int32", "frequencies: float"}, {"cos: float", "sin: float"}, {"batch: float", "scale: float"}, rotation},
    {nullptr, {}, {}, {}, nullptr},
};

}  // namespace INSTRUCTIONS
}  // namespace peft
