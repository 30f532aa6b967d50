// OO7, the object-database benchmark (Carey, DeWitt, Naughton: "The OO7 Benchmark", SIGMOD 1993): one module, small or
// medium, and its traversals. Every count is checked; a wrong one throws WrongAnswerError.
#pragma once

#include "oo7_generate.hpp"    // IWYU pragma: export
#include "oo7_model.hpp"       // IWYU pragma: export
#include "oo7_traversals.hpp"  // IWYU pragma: export
