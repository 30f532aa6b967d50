// WordNet 3.0 as persistent objects: files, model, importer, queries, and a workload of sessions. Every count and
// several answers are checked; wrong ones throw WrongAnswerError.
#pragma once

#include "files.hpp"     // IWYU pragma: export
#include "import.hpp"    // IWYU pragma: export
#include "locate.hpp"    // IWYU pragma: export
#include "model.hpp"     // IWYU pragma: export
#include "queries.hpp"   // IWYU pragma: export
#include "sessions.hpp"  // IWYU pragma: export
