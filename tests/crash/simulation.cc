// tests/crash/simulation.cc - see simulation.h

#include "tests/crash/simulation.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/journal/disk.h"

namespace rims::store {
namespace {

namespace fs = std::filesystem;

constexpr int kSessions = 4;
const std::string kZeros(4096, '\0');

}  // namespace

std::string Simulation::content(const fs::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto size = file_size(fd.get(), path);
  auto bytes = read_up_to(Disk::real(), fd.get(), static_cast<size_t>(size ? *size : 0), 0, path);
  return bytes ? *std::move(bytes) : std::string();
}

fs::path Simulation::account_dir(const char* user) const {
  const std::string id = unique_user_id(user);
  return fs::path(shape_.base) / "mailbox.3" / id.substr(0, 2) / id.substr(2);
}

std::vector<fs::path> Simulation::segment_files() const {
  std::vector<fs::path> list;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(account_dir() / "journal", none)) {
    if (entry.path().filename().string().size() == 8) list.push_back(entry.path());
  }
  std::ranges::sort(list);
  return list;
}

Simulation::Simulation(Loop& loop, IoPool& pool, Shape shape, Tally& tally)
    : loop_(loop),
      pool_(pool),
      shape_(std::move(shape)),
      run_(shape_.style == Style::churn ? kLongTexts + shape_.seed : shape_.seed),
      tally_(tally),
      random_(static_cast<uint32_t>(shape_.seed * 2654435761U + 1)),
      index_(shape_.files ? &disk_ : nullptr),
      journals_(loop) {
  seed_chance(shape_.seed);
  disk_.random.seed(random_());
  disk_.slow = shape_.disturb;
  disk_.ignored = shape_.ignored;
  disk_.late = shape_.late;
  disk_.aim = shape_.aim;
  disk_.blind = shape_.blind;
  index_.mutant = shape_.index_mutant;
  if (shape_.files) fs::create_directory(shape_.base);
  journals_.fate = [this](const std::string&, std::span<const Draft>) {
    if (!chance(fate_percent_)) return MemoryJournals::Fate::commit;
    faulty_ = true;
    tally_.faults++;
    if (chance(30)) {
      killed_ = true;
      loop_.stop();
    }
    return chance(50) ? MemoryJournals::Fate::fail : MemoryJournals::Fate::fail_written;
  };
}

Simulation::~Simulation() {
  sessions_.reset();
  account_.reset();
  store_.reset();
  std::error_code ignored;
  if (shape_.files) fs::remove_all(shape_.base, ignored);
}

uint64_t Simulation::trace() const {
  Trace all = trace_;
  all.mix(disk_.trace.number);
  // Whoever has drawn another number of times has done something else.
  auto next = random_;
  all.mix(next());
  next = disk_.random;
  all.mix(next());
  all.mix(chance_drawn());
  return all.number;
}

void Simulation::fail_with(const std::string& what) {
  if (failure_.empty()) failure_ = what;
  loop_.stop();
}

void Simulation::start_store() {
  Options o;
  o.key_values = &index_;
  o.idle_close = Milliseconds(600'000);
  o.clock = [this] {
    if (shape_.disturb) shape_.disturb();
    return now_++;
  };
  if (shape_.files) {
    auto base = open_base(shape_.base);
    if (!base) return fail_with(base.error().detail());
    o.base = *std::move(base);
    o.disk = &disk_;
    o.segment_bytes = churns() ? 5000 + pick(10'000) : 1500 + pick(20'000);
  } else {
    o.journals = &journals_;
  }
  store_ = std::make_unique<Store>(loop_, pool_, std::move(o));
}

// The process ends where it stands.
void Simulation::crash(bool power) {
  sessions_.reset();
  account_.reset();
  store_.reset();
  running_ = 0;
  killed_ = false;
  tally_.states++;
  disk_.fault = nullptr;
  if (power) {
    disk_.lose_power(SimDisk::Keep::some);
    index_.lose_power(random_);
    if (const auto files = segment_files(); !files.empty()) {
      std::string bytes = content(files.back());
      while (bytes.ends_with(kZeros)) bytes.resize(bytes.size() - kZeros.size());
      bytes.resize(bytes.find_last_not_of('\0') + 1);
      before_.emplace_back(files.back().filename().string(), std::move(bytes));
    }
  } else {
    disk_.power_on();
    disk_.forget_failed_pages();
    // Whether the flush of a file that was put there meanwhile has ended, nobody knows.
    for (const auto& name : quarantine_files())
      if (!quarantine_.contains(name)) doubtful_.insert(name);
  }
  start_store();
}

// Random calls fail from some moment on, once or for a while.
void Simulation::plan_faults() {
  static constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, EMFILE, EROFS, -1};
  const int error = kErrors[pick(6)];
  auto left = std::make_shared<int64_t>(pick(120));
  const int64_t length = chance(60) ? 1 : 1 + pick(12);
  disk_.fault = [this, error, left, length](SimDisk::Call call) {
    using Call = SimDisk::Call;
    const bool fits = error == -1       ? call == Call::write
                      : error == EMFILE ? call == Call::open
                      : error == EIO
                          ? call != Call::rename
                          : call == Call::write || call == Call::mkdir || call == Call::open;
    if (!fits || (*left)-- > 0) return 0;
    if (*left < -length) return 0;
    if (error != -1) faulty_ = true;
    return error;
  };
}

bool Simulation::try_to_open() {
  auto opened = run(loop_, store_->open(kUser));
  if (opened) {
    account_ = *std::move(opened);
    return true;
  }
  if (!faulty_ && !disk_.dead()) fail_with("the account does not open: " + opened.error().detail());
  return false;
}

// With crashes and faults on the way, a few times; then without.
void Simulation::open_account() {
  const unsigned often = kills() ? 60 : 35;
  opened_in_fault_ = false;
  for (int tries = 0; faulted() && tries < 3 && !failed() && chance(often); tries++) {
    tally_.in_recovery++;
    const bool power = chance(60);
    const bool fault = chance(30);
    faulty_ = false;
    if (fault)
      plan_faults();
    else
      disk_.power_off_after(pick(chance(50) ? 6 : 30));
    const uint64_t before = disk_.faults;
    disk_.aiming = true;
    const bool opened = try_to_open();
    disk_.aiming = false;
    disk_.fault = nullptr;
    tally_.faults += disk_.faults - before;
    if (failed()) return;
    if (faulty_) quarantine_.clear();
    if (faulty_) before_.clear();
    if (opened && !disk_.dead()) {
      disk_.power_on();
      if (chance(50) && !account_->failed()) {
        opened_in_fault_ = faulty_;
        break;
      }
    }
    account_.reset();
    crash(power);
  }
  faulty_ = false;
  if (!failed() && !account_) try_to_open();
  if (!failed() && account_->failed()) {
    account_.reset();
    try_to_open();
  }
}

// --- the course of events ---

void Simulation::phase() {
  // What the opening found must last, whatever comes next.
  if (faulted() && chance(disk_.struck() ? 60 : 12)) return crash(true);
  const End end = think_of_an_end();
  faulty_ = false;
  fate_percent_ = 0;
  account_->listen(this);
  if (shape_.files) {
    if (end == End::fault)
      plan_faults();
    else if (end != End::stop && chance(80))
      disk_.power_off_after(pick(chance(30) || kills() || cuts() ? 10 : 80));
  } else if (end != End::stop) {
    fate_percent_ = 1 + pick(25);
  }
  const uint64_t before = disk_.faults;
  sessions_ = std::make_unique<Scope>(loop_);
  const bool alone = (churns() && chance(40)) || (stops() && chance(60));
  const int sessions = alone ? 1 : 1 + static_cast<int>(pick(kSessions));
  const size_t most = churns() ? 12 : stops() && alone ? 2 : 6;
  running_ = sessions;
  for (int i = 0; i < sessions && running_ > 0; i++)
    sessions_->spawn(session((stops() ? 1 : 2) + static_cast<int>(pick(most)), i == 0));
  disk_.aiming = true;
  while (running_ > 0 && !killed_ && !failed()) loop_.run();
  disk_.aiming = false;
  tally_.faults += disk_.faults - before;
  fate_percent_ = 0;
  disk_.fault = nullptr;
  if (failed()) return;
  end_phase(end);
}

Simulation::End Simulation::think_of_an_end() {
  if (shape_.harm != Harm::none) return End::stop;
  const auto any = static_cast<End>(pick(4));
  if (!chance(60)) return any;
  return shape_.style == Style::stops ? End::stop : shape_.style == Style::kills ? End::kill : any;
}

void Simulation::end_phase(End end) {
  account_->unlisten(this);
  if (faulty_ && shape_.files) {
    quarantine_.clear();
    before_.clear();
  }
  const bool aimed = disk_.struck() && chance(60);
  if (killed_ || disk_.dead() || end == End::kill || end == End::power || aimed)
    return crash(end == End::power || aimed);
  sessions_.reset();
  const bool broken = account_->failed();
  account_.reset();
  disk_.power_on();
  if (broken && chance(60)) return;  // the same process opens it again
  if (faulted() && chance(20)) disk_.power_off_after(pick(12));
  run(loop_, store_->close_all());
  store_.reset();
  if (disk_.dead()) return crash(chance(60));
  disk_.power_on();
  if (stops() && chance(70)) return crash(true);
  start_store();
}

std::string Simulation::play() {
  tally_.runs++;
  if (shape_.harm != Harm::none) return play_harmed();
  start_store();
  const int phases = 1 + static_cast<int>(pick(3)) + (stops() ? 4 : churns() || cuts() ? 2 : 0);
  for (int i = 0; i <= phases && !failed(); i++) {
    open_account();
    if (!failed()) verify();
    if (!failed() && i < phases) phase();
  }
  if (churns() && !failed()) free_all();
  if (failed()) return failure_;
  auto broken = run(loop_, account_->check());
  if (!broken) return "check: " + broken.error().detail();
  account_.reset();
  if (!broken->empty()) return broken->front();
  run(loop_, store_->close_all());
  if (shape_.files) {
    // Nobody is late: after an orderly stop and a loss of power all is as it was.
    store_.reset();
    crash(true);
    open_account();
    if (!failed()) verify();
  }
  return failure_;
}

}  // namespace rims::store
