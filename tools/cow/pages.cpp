#include "pages.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "page_writer.hpp"
#include "session.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

constexpr Oid kLastOfPages{std::numeric_limits<std::uint64_t>::max()};

/// The page is not made to its end: the program is to end.
struct Ended {};

/// An address, taken apart. There is nothing in ours that would have to be decoded.
struct Address {
  std::string_view path;
  std::map<std::string, std::uint64_t, std::less<>> numbers;  // of the query: names, and whole numbers

  /// Throws Refusal.
  explicit Address(std::string_view target) : path(target.substr(0, target.find('?'))) {
    if (path.size() == target.size()) return;
    std::string_view query = target.substr(path.size() + 1);
    while (!query.empty()) {
      const std::string_view one = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(query.size(), one.size() + 1));
      const std::size_t sign = one.find('=');
      if (sign == one.npos) throw Refusal(kBadUsage, "the address has a parameter without a value");
      numbers[std::string(one.substr(0, sign))] = number_in(one.substr(sign + 1));
    }
  }

  /// Of "/object/17", for "/object/". Nothing: it is another address. Throws Refusal.
  std::optional<std::uint64_t> number_behind(std::string_view prefix) const {
    if (!path.starts_with(prefix)) return std::nullopt;
    return number_in(path.substr(prefix.size()));
  }

  std::optional<Tid> tid(std::string_view name) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? std::nullopt : std::optional<Tid>(Tid{found->second});
  }

 private:
  static std::uint64_t number_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || text.empty())
      throw Refusal(kBadUsage, "the address has something else where a whole number should be");
    return number;
  }
};

class Pages {
 public:
  Pages(const StoreView& reader, std::string_view notice, std::stop_token must_end)
      : reader_(reader), notice_(notice), must_end_(std::move(must_end)) {}

  std::string home(const Address& address) {
    const std::optional<Tid> asked = address.tid("at");
    const Tid at = snapshot_of(asked);
    PageWriter out("Root", notice_);
    const StoreSummary summary = reader_.summary();
    const std::optional<StoredTransaction> last = reader_.transaction(reader_.last_tid());
    out.raw("<p class=\"dim\">");
    out.say_whole(reader_.place());
    out.say(fmt::format(", {}; tid {}{}; about {} revisions in {} transactions; {}", reader_.state(),
                        reader_.last_tid().value, last ? ", " + text_of(last->time) : "", summary.estimated_revisions,
                        summary.estimated_transactions,
                        summary.oldest_tid == Tid{} ? std::string("never packed")
                                                    : fmt::format("packed up to tid {}", summary.oldest_tid.value)));
    out.raw("</p>\n");
    say_when(out, asked, "/");
    const std::optional<Revision> root = reader_.load(kRootOid, at);
    if (!root || root->erased) {
      out.raw("<p>There is no root.</p>\n");
      return out.take();
    }
    out.raw("<table><tr><th>name<th>object<th>type<th class=\"n\">bytes</tr>\n");
    const std::map<std::string, Oid> names = names_in_root(root->record, root->begin);
    std::size_t count = 0;
    for (const auto& [name, oid] : names) {
      if (count == kMostElements) break;
      ++count;
      go_on();
      out.raw("<tr>");
      out.name_cell(name);
      add_target(out, oid, at, asked);
      out.raw("</tr>\n");
    }
    out.raw("</table>\n");
    out.say_rest(names.size() - count);
    out.raw("<p>");
    out.link(kRootOid, asked, "the root as an object");
    out.raw("</p>\n");
    return out.take();
  }

  std::string object(Oid oid, const Address& address) {
    const std::optional<Tid> asked = address.tid("at");
    const Tid at = snapshot_of(asked);
    const Revision revision = require(oid, at);
    const Value value(revision.record, oid, revision.begin);
    PageWriter out(fmt::format("{} {}", text::beginning(value.type(), kMostText), oid.value), notice_);
    out.raw(
        fmt::format("<p><a href=\"/history/{0}\">history</a> <a href=\"/referrers/{0}{1}\">what refers to it</a></p>\n",
                    oid.value, asked ? fmt::format("?at={}", asked->value) : ""));
    say_when(out, asked, fmt::format("/object/{}", oid.value));
    out.raw("<p class=\"dim\">");
    out.say(fmt::format("tid {}, schema {}, {} bytes", revision.begin.value, value.schema(), revision.record.size()));
    if (const auto transaction = reader_.transaction(revision.begin)) say_transaction(out, *transaction);
    out.raw("</p>\n");
    out.raw("<div class=\"value\">");
    ValueWriter(out, asked).write(Json::parse(value.json()));
    out.raw("</div>\n");
    return out.take();
  }

  std::string history(Oid oid) {
    PageWriter out(fmt::format("History of oid {}", oid.value), notice_);
    out.raw("<table><tr><th class=\"n\">tid<th>time<th>user<th>note<th class=\"n\">bytes</tr>\n");
    std::size_t count = 0;
    reader_.revisions(oid, oid, [&](const StoredRevision& revision) {
      go_on();
      const std::optional<StoredTransaction> transaction = reader_.transaction(revision.tid);
      out.raw("<tr><td class=\"n\">");
      if (revision.tid >= reader_.summary().oldest_tid) {
        out.link(oid, revision.tid, std::to_string(revision.tid.value));
      } else {
        out.say(std::to_string(revision.tid.value));
      }
      out.raw("</td>");
      out.time_cell(transaction ? text_of(transaction->time) : "");
      out.name_cell(transaction ? transaction->note.user : "");
      out.name_cell(transaction ? transaction->note.description : "");
      revision.erased ? out.cell("erased") : out.cell(revision.record.size());
      out.raw("</tr>\n");
      return ++count < kMostElements;
    });
    out.raw("</table>\n");
    if (count == 0) throw Refusal(kNotThere, fmt::format("there never was an object {}", oid.value));
    if (count == kMostElements) out.raw("<p class=\"dim\">older ones are not shown</p>\n");
    return out.take();
  }

  std::string referrers(Oid oid, const Address& address) {
    const std::optional<Tid> asked = address.tid("at");
    const Tid at = snapshot_of(asked);
    PageWriter out(fmt::format("What refers to oid {}", oid.value), notice_);
    say_when(out, asked, fmt::format("/referrers/{}", oid.value));
    out.raw("<table><tr><th>object<th>type<th>member</tr>\n");
    std::size_t count = 0, damaged = 0;
    reader_.revisions(Oid{0}, kLastOfPages, [&](const StoredRevision& revision) {
      go_on();
      if (revision.erased || revision.tid > at || revision.end <= at) return true;
      try {
        if (!revision.sound) throw CorruptRecordError(revision.oid, revision.tid, "wrong checksum");
        const Value value(revision.record, revision.oid, revision.tid);
        value.references([&](const std::string& path, Oid other) {
          if (other != oid || count >= kMostElements) return;
          ++count;
          out.raw("<tr>");
          out.link_cell(revision.oid, asked, std::to_string(revision.oid.value));
          out.name_cell(value.type());
          out.name_cell(path);
          out.raw("</tr>\n");
        });
      } catch (const CorruptRecordError&) {
        ++damaged;
      }
      return count < kMostElements;
    });
    out.raw("</table>\n");
    if (count == 0) out.raw("<p>Nothing does.</p>\n");
    if (count == kMostElements) out.raw("<p class=\"dim\">there may be more</p>\n");
    if (damaged > 0)
      out.raw(fmt::format("<p class=\"notice\">{} damaged records were not looked through</p>\n", damaged));
    return out.take();
  }

  std::string log(const Address& address) {
    const Tid newest = std::min(address.tid("to").value_or(reader_.last_tid()), reader_.last_tid());
    PageWriter out("Transactions", notice_);
    out.raw("<table><tr><th class=\"n\">tid<th>time<th>user<th>note<th>objects</tr>\n");
    constexpr std::size_t kRows = 100, kObjects = 20;
    std::size_t count = 0;
    Tid next{};
    reader_.transactions(newest, Tid{1}, [&](const StoredTransaction& transaction) {
      go_on();
      if (count++ == kRows) {
        next = transaction.tid;
        return false;
      }
      out.raw("<tr>");
      out.cell(transaction.tid.value);
      out.time_cell(text_of(transaction.time));
      out.name_cell(transaction.note.user);
      out.name_cell(transaction.note.description);
      out.raw("<td>");
      for (std::size_t i = 0; i < std::min(kObjects, transaction.objects.size()); ++i) {
        out.link(transaction.objects[i], transaction.tid, std::to_string(transaction.objects[i].value));
        out.raw(" ");
      }
      if (transaction.objects.size() > kObjects)
        out.say(fmt::format("and {} more", transaction.objects.size() - kObjects));
      out.raw("</td></tr>\n");
      return true;
    });
    out.raw("</table>\n");
    if (next != Tid{}) out.raw(fmt::format("<p><a href=\"/log?to={}\">older ones</a></p>\n", next.value));
    return out.take();
  }

  std::string types() {
    struct Totals {
      std::uint64_t objects = 0, bytes = 0, largest = 0;
      Oid largest_oid;
    };
    std::map<std::string, Totals> types;
    std::size_t damaged = 0;
    reader_.revisions(Oid{0}, kLastOfPages, [&](const StoredRevision& revision) {
      go_on();
      if (revision.erased || revision.end != kInfinity) return true;
      try {
        if (!revision.sound) throw CorruptRecordError(revision.oid, revision.tid, "wrong checksum");
        Totals& totals = types[detail::read_record_header(revision.record, revision.oid, revision.tid).type_name];
        ++totals.objects;
        totals.bytes += revision.record.size();
        if (revision.record.size() >= totals.largest) {
          totals.largest = revision.record.size();
          totals.largest_oid = revision.oid;
        }
      } catch (const CorruptRecordError&) {
        ++damaged;
      }
      return true;
    });
    PageWriter out("Types", notice_);
    out.raw("<table><tr><th>type<th class=\"n\">objects<th class=\"n\">bytes<th>largest</tr>\n");
    for (const auto& [name, totals] : types) {
      out.raw("<tr>");
      out.name_cell(name);
      out.cell(totals.objects);
      out.cell(totals.bytes);
      out.link_cell(totals.largest_oid, {}, fmt::format("{} bytes", totals.largest));
      out.raw("</tr>\n");
    }
    out.raw("</table>\n");
    if (damaged > 0) out.raw(fmt::format("<p class=\"notice\">{} damaged records were not counted</p>\n", damaged));
    return out.take();
  }

 private:
  Tid snapshot_of(std::optional<Tid> asked) const {
    if (!asked) return reader_.last_tid();
    return Session::resolve_snapshot(reader_, std::to_string(asked->value));
  }

  Revision require(Oid oid, Tid at) const {
    std::optional<Revision> revision = reader_.load(oid, at);
    if (!revision) throw Refusal(kNotThere, fmt::format("there is no object {} at tid {}", oid.value, at.value));
    if (revision->erased)
      throw Refusal(kNotThere, fmt::format("object {} was erased at tid {}", oid.value, revision->begin.value));
    return *std::move(revision);
  }

  void add_target(PageWriter& out, Oid oid, Tid at, std::optional<Tid> asked) {
    out.link_cell(oid, asked, std::to_string(oid.value));
    try {
      const std::optional<Revision> revision = reader_.load(oid, at);
      if (!revision || revision->erased) {
        out.cell(revision ? "(erased)" : "(no such object)");
        return out.cell("");
      }
      out.name_cell(detail::read_record_header(revision->record, oid, revision->begin).type_name);
      out.cell(revision->record.size());
    } catch (const CorruptRecordError&) {
      out.cell("(damaged)");
      out.cell("");
    }
  }

  static void say_when(PageWriter& out, std::optional<Tid> asked, std::string_view now) {
    if (!asked) return;
    out.raw(fmt::format("<p class=\"notice\">As of tid {}. <a href=\"{}\">Now</a></p>\n", asked->value, now));
  }

  static void say_transaction(PageWriter& out, const StoredTransaction& transaction) {
    out.say(", " + text_of(transaction.time));
    if (!transaction.note.user.empty()) {
      out.say(", ");
      out.say_whole(transaction.note.user);
    }
    if (!transaction.note.description.empty()) {
      out.say(": ");
      out.say_whole(transaction.note.description);
    }
  }

  /// Between two rows. Throws Ended.
  void go_on() const {
    if (must_end_.stop_requested()) throw Ended();
  }

  const StoreView& reader_;
  const std::string_view notice_;
  const std::stop_token must_end_;
};

std::string body_of(const StoreView& reader, std::string_view target, std::string_view notice,
                    std::stop_token must_end) {
  const Address address(target);
  Pages pages(reader, notice, std::move(must_end));
  if (address.path == "/") return pages.home(address);
  if (address.path == "/log") return pages.log(address);
  if (address.path == "/types") return pages.types();
  if (const auto oid = address.number_behind("/object/")) return pages.object(Oid{*oid}, address);
  if (const auto oid = address.number_behind("/history/")) return pages.history(Oid{*oid});
  if (const auto oid = address.number_behind("/referrers/")) return pages.referrers(Oid{*oid}, address);
  throw Refusal(kNotThere, "there is no such page");
}

Page error_page(unsigned status, std::string_view why, std::string_view notice) {
  PageWriter out(status == 404 ? "Not there" : status == 400 ? "Not understood" : "Not readable", notice);
  out.raw("<p>");
  out.say(why);
  out.raw("</p>\n");
  return {status, out.take()};
}

}  // namespace

Page page_of(const StoreView& reader, std::string_view target, std::string_view notice, std::stop_token must_end) {
  try {
    return {200, body_of(reader, target, notice, std::move(must_end))};
  } catch (const Ended&) {
    return {503, "The program ends.\n"};
  } catch (const Refusal& refusal) {
    return error_page(refusal.code == kNotThere ? 404 : 400, refusal.what(), notice);
  } catch (const SnapshotTooOldError& error) {
    return error_page(404, error.what(), notice);
  } catch (const std::exception& error) {
    return error_page(500, error.what(), notice);
  }
}

Page failure_page(std::string_view why) { return error_page(500, why, {}); }

}  // namespace cow::tool
