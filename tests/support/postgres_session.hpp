// A session of a test's own beside the store: that of the measurements (bench/support/postgres_session.hpp).
#pragma once

#include "bench/support/postgres_session.hpp"

namespace cow::testing {

using bench::PostgresSession;

}  // namespace cow::testing
