// Stands between a test's store and its server, and makes batches fail: that of the measurements (bench/support/postgres_proxy.hpp).
#pragma once

#include "bench/support/postgres_proxy.hpp"

namespace cow::testing {

using bench::Fault;
using bench::PostgresProxy;

}  // namespace cow::testing
