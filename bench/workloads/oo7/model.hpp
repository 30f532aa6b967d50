// The classes and sizes of OO7 (Carey, DeWitt, Naughton: "The OO7 Benchmark", SIGMOD 1993).
//
// The structs are templates over the pointer family of a database (`Pointers::Ref<T>`), so that the same code runs on
// persistent references and on raw pointers. Members are ordered so that what a traversal touches comes first.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <msgpack.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cow::bench::oo7 {

/// The parameters of table 1 of the paper.
struct Parameters {
  std::uint32_t atomic_per_composite = 20;
  std::uint32_t connections_per_atomic = 3;
  std::uint32_t document_bytes = 2'000;
  std::uint32_t manual_bytes = 100'000;
  std::uint32_t composites = 500;
  std::uint32_t assembly_fan_out = 3;  ///< NumAssmPerAssm
  std::uint32_t assembly_levels = 7;   ///< the lowest level are the base assemblies
  std::uint32_t composites_per_assembly = 3;
  std::uint64_t seed = 1;

  static Parameters small(std::uint32_t fan_out = 3, std::uint64_t seed = 1) {
    Parameters parameters;
    parameters.connections_per_atomic = fan_out;
    parameters.seed = seed;
    return parameters;
  }
  static Parameters medium(std::uint32_t fan_out = 3, std::uint64_t seed = 1) {
    Parameters parameters = small(fan_out, seed);
    parameters.atomic_per_composite = 200;
    parameters.document_bytes = 20'000;
    parameters.manual_bytes = 1'000'000;
    return parameters;
  }
  /// "small" or "medium". Throws std::invalid_argument.
  static Parameters named(std::string_view size, std::uint32_t fan_out, std::uint64_t seed) {
    if (size == "small") return small(fan_out, seed);
    if (size == "medium") return medium(fan_out, seed);
    throw std::invalid_argument("OO7 has the sizes small and medium, not '" + std::string(size) + "'");
  }

  std::uint64_t base_assemblies() const { return assemblies_on(assembly_levels); }
  std::uint64_t complex_assemblies() const {
    std::uint64_t sum = 0;
    for (std::uint32_t level = 1; level < assembly_levels; ++level) sum += assemblies_on(level);
    return sum;
  }
  std::uint64_t atomic_parts() const { return std::uint64_t{composites} * atomic_per_composite; }
  std::uint64_t connections() const { return atomic_parts() * connections_per_atomic; }
  /// Private uses of composite parts: what every traversal visits.
  std::uint64_t private_uses() const { return base_assemblies() * composites_per_assembly; }
  /// All design objects of the module: itself, its manual, assemblies, composites, documents, parts, connections.
  std::uint64_t objects() const {
    return 2 + complex_assemblies() + base_assemblies() + 2 * std::uint64_t{composites} + atomic_parts() +
           connections();
  }

 private:
  std::uint64_t assemblies_on(std::uint32_t level) const {
    std::uint64_t count = 1;
    for (std::uint32_t i = 1; i < level; ++i) count *= assembly_fan_out;
    return count;
  }
};

using TypeName = std::array<char, 10>;

template <class Pointers>
struct Connection;
template <class Pointers>
struct CompositePart;
template <class Pointers>
struct BaseAssembly;

template <class Pointers>
struct AtomicPart {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.AtomicPart";

  std::uint32_t id = 0;
  std::int32_t x = 0;
  std::int32_t y = 0;
  std::int32_t build_date = 0;
  std::vector<Ref<Connection<Pointers>>> to;  ///< outgoing
  std::uint32_t doc_id = 0;
  TypeName type{};
  std::vector<Ref<Connection<Pointers>>> from;  ///< incoming
  Ref<CompositePart<Pointers>> part_of;
  MSGPACK_DEFINE(id, x, y, build_date, to, doc_id, type, from, part_of);
};

template <class Pointers>
struct Connection {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.Connection";

  Ref<AtomicPart<Pointers>> to;
  Ref<AtomicPart<Pointers>> from;
  std::int32_t length = 0;
  TypeName type{};
  MSGPACK_DEFINE(to, from, length, type);
};

template <class Pointers>
struct Document {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.Document";

  std::uint32_t id = 0;
  std::string title;
  std::string text;
  Ref<CompositePart<Pointers>> part;
  MSGPACK_DEFINE(id, title, text, part);
};

template <class Pointers>
struct CompositePart {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.CompositePart";

  std::uint32_t id = 0;
  std::int32_t build_date = 0;
  Ref<AtomicPart<Pointers>> root_part;  ///< parts[0]
  TypeName type{};
  Ref<Document<Pointers>> documentation;
  std::vector<Ref<AtomicPart<Pointers>>> parts;
  std::vector<Ref<BaseAssembly<Pointers>>> used_in_private;
  std::vector<Ref<BaseAssembly<Pointers>>> used_in_shared;
  MSGPACK_DEFINE(id, build_date, root_part, type, documentation, parts, used_in_private, used_in_shared);
};

template <class Pointers>
struct ComplexAssembly;

template <class Pointers>
struct BaseAssembly {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.BaseAssembly";

  std::uint32_t id = 0;
  std::int32_t build_date = 0;
  std::vector<Ref<CompositePart<Pointers>>> components_private;
  std::vector<Ref<CompositePart<Pointers>>> components_shared;
  Ref<ComplexAssembly<Pointers>> super;
  TypeName type{};
  MSGPACK_DEFINE(id, build_date, components_private, components_shared, super, type);
};

/// Its sub-assemblies are complex ones or, on the last but one level, base assemblies; one list for each keeps the
/// references typed.
template <class Pointers>
struct ComplexAssembly {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.ComplexAssembly";

  std::uint32_t id = 0;
  std::int32_t build_date = 0;
  std::vector<Ref<ComplexAssembly>> complex_assemblies;
  std::vector<Ref<BaseAssembly<Pointers>>> base_assemblies;
  Ref<ComplexAssembly> super;  ///< none: this is the design root
  TypeName type{};
  MSGPACK_DEFINE(id, build_date, complex_assemblies, base_assemblies, super, type);
};

template <class Pointers>
struct Manual {
  static constexpr std::string_view cow_type_name = "oo7.Manual";

  std::uint32_t id = 0;
  std::string title;
  std::string text;
  MSGPACK_DEFINE(id, title, text);
};

template <class Pointers>
struct Indexes;  // indexes.hpp

/// Its assemblies are what the indexes by id hold, and what `design_root` leads to.
template <class Pointers>
struct Module {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "oo7.Module";

  std::uint32_t id = 0;
  std::int32_t build_date = 0;
  TypeName type{};
  Ref<Manual<Pointers>> manual;
  Ref<ComplexAssembly<Pointers>> design_root;
  Ref<Indexes<Pointers>> indexes;
  MSGPACK_DEFINE(id, build_date, type, manual, design_root, indexes);
};

/// The root name of a generated module. Databases for one user have number 1 only.
inline std::string module_name(std::uint32_t number = 1) { return "oo7.module." + std::to_string(number); }

/// A text of exactly `bytes` characters: `phrase` again and again. The paper's manual and documents are made so.
inline std::string repeated_text(std::string_view phrase, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + phrase.size());
  while (text.size() < bytes) text += phrase;
  text.resize(bytes);
  return text;
}
inline std::string manual_text(const Parameters& parameters) {
  return repeated_text("I am the manual for module #00000001.\n", parameters.manual_bytes);
}
inline std::string document_title(std::uint32_t composite_id) {
  char title[40];
  std::snprintf(title, sizeof title, "Composite Part %08u", composite_id);
  return title;
}
inline std::string document_text(std::uint32_t composite_id, std::size_t bytes) {
  char phrase[80];
  std::snprintf(phrase, sizeof phrase, "I am the documentation for composite part #%08u.\n", composite_id);
  return repeated_text(phrase, bytes);
}

}  // namespace cow::bench::oo7
