// HearsOfTypes: a store that is told what a database cannot notice about the types that it stores (field_set.hpp).
//
// Thread safety: any thread that commits may call it.
#pragma once

#include "cow_cache/version.hpp"

#include <string>

namespace cow {

/// What a store is besides that is kept for long: it is told, once a type and database, what the type's field set cannot notice.
class HearsOfTypes {
 public:
  virtual void warn(const std::string& text) noexcept = 0;

 protected:
  HearsOfTypes() = default;
  HearsOfTypes(const HearsOfTypes&) = default;
  HearsOfTypes& operator=(const HearsOfTypes&) = default;
  ~HearsOfTypes() = default;
};

}  // namespace cow
