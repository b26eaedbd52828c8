// imapd/imap/threads.h - messages as the trees that THREAD answers with
//
//   RFC     5256 §2.1, §3 (ORDEREDSUBJECT, REFERENCES); draft-ietf-morg-inthread-01 §3 (REFS)
//   Cost    near-linear, whatever the References of hostile messages say: a link is made only to a
//           message without a parent, so that a loop is found by looking for the root, with
//           shortened paths
//   Memory  about 100 bytes per message and 8 per reference. Of one message kMostReferences are
//           looked at, the first and the last ones; of all, kMostLinks beside each one's last.
//   Secret  ids and subjects are compared by 64 bits of a keyed hash: nobody can choose equal ones
//   Pure    does no I/O; build() is for another thread when there is much
//
// The order in which the RFC makes its links matters only where messages contradict each other. It
// is kept, but for this: each message gets its own last reference as its parent first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sodium.h>

#include "common/base/strong.h"
#include "common/imap/command.h"

namespace rims::imapd {

class Threads {
 public:
  using Algorithm = imap::Thread::Algorithm;
  static constexpr size_t kMostReferences = 100;
  static constexpr size_t kMostLinks = size_t{8} << 20;

  explicit Threads(Algorithm algorithm);

  // The header fields that are looked at, in lower case.
  [[nodiscard]] static std::vector<std::string> fields(Algorithm algorithm);

  // In the order of the numbers. `date` is when the message was sent.
  void add(SeqNum number, int64_t date, std::string_view header);
  // Makes the trees. Once.
  void build();

  // Writes the trees as thread-list (RFC 5256 §5), a few bytes with each call. False: that was all.
  bool write(std::string& out, const std::function<uint32_t(SeqNum)>& named);

 private:
  using Hash = uint64_t;
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t parent = kNone, first_child = kNone, next = kNone;
    uint32_t number = 0;  // 0: a message that is not there
    uint32_t order = 0;   // among equal dates: the number; of what is not there, its first child's
    int64_t date = 0;
    Hash subject = 0;  // 0: empty
    bool is_reply = false;
  };

  [[nodiscard]] Hash hash_of(std::string_view text) const;
  void note_subject(Node& node, std::string_view header) const;
  void note_references(std::string_view header);
  // Has no number of its own, but stands for a message that others name.
  [[nodiscard]] bool is_dummy(uint32_t node) const { return nodes_[node].number == 0; }
  uint32_t add_dummy();

  void put_under_first_of_subject();
  void link_references();
  uint32_t node_of(Hash id);
  // Shortens the way that it has gone.
  uint32_t root_of(uint32_t node);
  // Nothing when `child` has a parent, or would be above itself.
  void link(uint32_t parent, uint32_t child);
  void leave_out_dummies();
  void date_dummies();
  void merge_subjects();
  void date_roots_by_latest();
  // Lists the children of each node, and the roots, by their dates.
  void list_children();

  Algorithm algorithm_;
  std::array<unsigned char, crypto_shorthash_KEYBYTES> key_{};
  std::vector<Node> nodes_;
  std::unordered_map<Hash, uint32_t> ids_;
  // Of message i: references_[ends_[i - 1]] up to references_[ends_[i]].
  std::vector<Hash> references_;
  std::vector<size_t> ends_;
  size_t messages_ = 0;
  std::vector<uint32_t> towards_root_;  // some node above, or itself: see root_of()
  uint32_t first_root_ = kNone;
  // What is still to be written.
  struct Step {
    enum class Kind : uint8_t { siblings, message, close } kind;
    uint32_t node;
  };
  std::vector<Step> steps_;
};

}  // namespace rims::imapd
