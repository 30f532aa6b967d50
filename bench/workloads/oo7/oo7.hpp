// OO7, the object-database benchmark (Carey, DeWitt, Naughton: "The OO7 Benchmark", SIGMOD 1993), small or medium: its
// traversals, queries, insertions and deletions, and its variant for many users. Every count is checked; a wrong one
// throws WrongAnswerError.
#pragma once

#include "generate.hpp"    // IWYU pragma: export
#include "model.hpp"       // IWYU pragma: export
#include "run.hpp"         // IWYU pragma: export
#include "traversals.hpp"  // IWYU pragma: export
#include "users.hpp"       // IWYU pragma: export
