#include "own_schemes.hpp"
#include "scheme.hpp"

namespace cow::bench {

std::vector<Scheme> schemes() {
  std::vector<Scheme> all = own_schemes();
  all.push_back(urcu_memb_scheme());
  all.push_back(urcu_qsbr_scheme());
  all.push_back(leaking_scheme());
  return all;
}

}  // namespace cow::bench
