// auth/users.h - which users there are, and whether a password is right
//
//   Trust      names and passwords come from rims-login and so from anybody; a name is checked
//              and folded before it is looked up (common/names/names.h)
//   Equal work for a user who does not exist, the password of one who does is checked (chosen by
//              a keyed hash of the name, so always the same one), then the login is refused: same
//              work, same answer
//   Lengths    what is compared is a keyed digest of fixed length, never the passwords
//
// prove_fast() answers at once where it can: plain passwords, and hashed ones that were proven
// before (kept per user as a keyed digest that expires). Otherwise the caller runs
// password::matches() on a pool and tells the outcome to remember().
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sodium.h>

#include "common/base/secret.h"
#include "common/config/parts.h"
#include "common/ipc/auth_link.h"
#include "common/users/state.h"

namespace rims::auth {

using Time = std::chrono::steady_clock::time_point;

class Users {
 public:
  explicit Users(config::AuthPart part);
  Users(const Users&) = delete;
  Users& operator=(const Users&) = delete;
  ~Users();

  // The entry that an attempt is checked against: the user's, or a stand-in that never succeeds.
  struct Candidate {
    size_t entry = 0;
    bool exists = false;
  };
  [[nodiscard]] Candidate find(std::string_view folded) const;
  // A number for a name that nobody can foretell: which entry stands in for it.
  [[nodiscard]] uint64_t number_of(std::string_view folded) const;
  // The name of its account, as the configuration spells it.
  [[nodiscard]] const std::string& name_of(Candidate candidate) const {
    return entries_[candidate.entry].name;
  }
  [[nodiscard]] bool is_delivery_user(Candidate candidate) const;
  // The account that a recipient names ("foo", "foo+lists@example.org"), or "". Users of the
  // configuration come before those of `directory`, whose addresses and domains are looked at, too.
  [[nodiscard]] std::string recipient(std::string_view text,
                                      const users::State* directory = nullptr) const;
  // A user, or the delivery user, whether it has an entry or not.
  [[nodiscard]] bool takes(std::string_view folded) const {
    return folded == delivery_user_ || by_name_.contains(std::string(folded));
  }
  [[nodiscard]] std::vector<std::string> account_names() const;

  enum class Proof : uint8_t { right, wrong, needs_hash };
  [[nodiscard]] Proof prove_fast(Candidate candidate, std::string_view password, Time now) const;
  // For the pool: thread-safe as long as this object lives and is not changed.
  [[nodiscard]] std::string stored_hash(Candidate candidate) const;
  // Call it when the hash has shown that `password` is right.
  void remember(Candidate candidate, std::string_view password, Time now);
  // RFC 2195: digest = hex(HMAC-MD5(password, challenge)). Never for a hashed password.
  [[nodiscard]] bool prove_cram_md5(Candidate candidate, std::string_view challenge,
                                    std::string_view digest) const;

  // Why what `candidate` was granted does not hold under `fresh`; nullopt when it does.
  [[nodiscard]] std::optional<ipc::Revoked> revoked(Candidate candidate, const Users& fresh) const;
  // All of them, by the names of their accounts.
  [[nodiscard]] std::vector<std::pair<std::string, ipc::Revoked>> revoked_by(
      const Users& fresh) const;

  [[nodiscard]] std::chrono::seconds cache_lifetime() const { return cache_lifetime_; }
  [[nodiscard]] bool end_sessions_on_change() const { return end_sessions_on_change_; }
  [[nodiscard]] size_t size() const { return entries_.size() - 1; }
  [[nodiscard]] uint32_t delay_first_ms() const { return delay_first_ms_; }
  [[nodiscard]] uint32_t delay_max_ms() const { return delay_max_ms_; }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    std::string name;
    Secret password;  // plain or hash
    bool hashed = false;
    Digest digest{};  // plain: of the password; hashed: of the one that was proven last
    Time digest_until{};
  };

  [[nodiscard]] Digest digest_of(size_t entry, std::string_view password) const;
  [[nodiscard]] bool is_ours(std::string_view domain) const;

  // The last one is no user: it is the stand-in when there are no users at all.
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> by_name_;  // by the folded name
  std::string delivery_user_;                        // folded
  std::set<std::string, std::less<>> domains_;       // as names::domain() gives them
  bool any_domain_ = true;
  std::string delimiter_;
  uint32_t delay_first_ms_ = 0, delay_max_ms_ = 0;
  std::chrono::seconds cache_lifetime_{0};
  bool end_sessions_on_change_ = true;
  std::array<unsigned char, 32> key_{};                              // of this process, random
  std::array<unsigned char, crypto_shorthash_KEYBYTES> name_key_{};  // as well
};

}  // namespace rims::auth
