// OO7, the object-database benchmark (Carey, DeWitt, Naughton: "The OO7 Benchmark", SIGMOD 1993), small or medium: its
// traversals, queries, insertions and deletions, and its variant for many users. Every count is checked; a wrong one
// throws WrongAnswerError.
#pragma once

#include "oo7_generate.hpp"    // IWYU pragma: export
#include "oo7_model.hpp"       // IWYU pragma: export
#include "oo7_run.hpp"         // IWYU pragma: export
#include "oo7_traversals.hpp"  // IWYU pragma: export
#include "oo7_users.hpp"       // IWYU pragma: export
