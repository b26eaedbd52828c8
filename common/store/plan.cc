// common/store/plan.cc - numbers given out ahead of the disk

#include "common/store/plan.h"

#include <algorithm>

#include "common/base/ascii.h"

namespace rims::store {
namespace {

// A clock that is beyond this (2097) is wrong, and leaves numbers for when it is right again.
constexpr uint32_t kLatestUidValidity = 0xf000'0000;

}  // namespace

Plan::Overlay& Plan::overlay(const Mailbox& mailbox) {
  auto& o = overlays_[mailbox.info().id];
  if (o.uidnext.value == 0) o.uidnext = mailbox.info().uidnext;
  return o;
}

Status Plan::reserve_uids(const Mailbox& mailbox, size_t count) {
  if (count >= UINT32_MAX - overlay(mailbox).uidnext.value)
    return fail(Fault::limit, "the mailbox has no unique identifiers left", {}, "LIMIT");
  return {};
}

Uid Plan::take_uid(const Mailbox& mailbox) {
  auto& next = overlay(mailbox).uidnext;
  const Uid uid = next;
  next = Uid(uid.value + 1);
  return uid;
}

UidValidity Plan::take_uidvalidity() {
  const uint32_t wanted = std::clamp<uint32_t>(time_, 1, kLatestUidValidity);
  last_uidvalidity_ = UidValidity(std::max(wanted, last_uidvalidity_.value + 1));
  return last_uidvalidity_;
}

Result<uint64_t> Plan::keyword_bits(const Mailbox& mailbox, std::span<const std::string> names,
                                    size_t name_limit) {
  auto& o = overlay(mailbox);
  const size_t before = o.new_keywords.size();
  const size_t known = mailbox.keywords().size();
  uint64_t bits = 0;
  for (const auto& wanted : names) {
    std::optional<size_t> index = mailbox.keyword(wanted);
    for (size_t i = 0; !index && i < o.new_keywords.size(); i++) {
      if (ascii::equal(o.new_keywords[i], wanted)) index = known + i;
    }
    if (!index) {
      const bool too_long = wanted.size() > name_limit;
      if (wanted.empty() || too_long || known + o.new_keywords.size() >= kMaxKeywords) {
        o.new_keywords.resize(before);
        return fail(Fault::limit, too_long ? "a keyword is too long" : "too many keywords", {},
                    "LIMIT");
      }
      index = known + o.new_keywords.size();
      o.new_keywords.push_back(wanted);
    }
    bits |= uint64_t{1} << *index;
  }
  for (size_t i = before; i < o.new_keywords.size(); i++)
    add(Keyword{mailbox.info().id, static_cast<uint8_t>(known + i), o.new_keywords[i]});
  return bits;
}

Result<uint64_t> Plan::translate(const Mailbox& from, const Mailbox& to, uint64_t bits,
                                 size_t name_limit) {
  if (&from == &to) return bits;
  std::vector<std::string> names;
  for (size_t i = 0; i < from.keywords().size(); i++) {
    if ((bits >> i & 1) != 0) names.push_back(from.keywords()[i]);
  }
  if (names.empty()) return 0;
  return keyword_bits(to, names, name_limit);
}

bool Plan::untouched(MailboxId mailbox, std::span<const UidRange> uids) const {
  const auto found = overlays_.find(mailbox);
  if (found == overlays_.end()) return true;
  return std::ranges::none_of(found->second.touched,
                              [&](const auto& ranges) { return overlap(ranges, uids); });
}

void Plan::touch(MailboxId mailbox, std::span<const UidRange> uids) {
  const auto found = state_.mailbox(mailbox);
  if (found) overlay(*found).touched.emplace_back(uids.begin(), uids.end());
}

}  // namespace rims::store
