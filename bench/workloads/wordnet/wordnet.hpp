// WordNet 3.0 as persistent objects: files, model, importer, queries, and a workload of sessions. Every count and
// several answers are checked; wrong ones throw WrongAnswerError.
#pragma once

#include "wordnet_files.hpp"     // IWYU pragma: export
#include "wordnet_import.hpp"    // IWYU pragma: export
#include "wordnet_locate.hpp"    // IWYU pragma: export
#include "wordnet_model.hpp"     // IWYU pragma: export
#include "wordnet_queries.hpp"   // IWYU pragma: export
#include "wordnet_sessions.hpp"  // IWYU pragma: export
