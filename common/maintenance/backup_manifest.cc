// common/maintenance/backup_manifest.cc - the manifest as JSON

#include "common/maintenance/backup_manifest.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/base/encoding.h"
#include "common/base/json.h"

namespace rims::store {
namespace {

constexpr std::string_view kSum = ",\n  \"sha256\": \"";
constexpr std::string_view kEnd = "\"\n}\n";

std::string hex(const Id& id) {
  return to_hex({reinterpret_cast<const char*>(id.data()), id.size()});
}

bool read_id(const ParsedJson& of, const char* name, Id& id) {
  const auto bytes = from_hex(json_string(of, name));
  if (!bytes || bytes->size() != id.size()) return false;
  memcpy(id.data(), bytes->data(), id.size());
  return true;
}

Json to_json(const BackupSegment& s) {
  Json damages = Json::array();
  for (const auto& d : s.damages)
    damages.push_back(Json{{"offset", d.offset}, {"length", d.length}, {"what", d.what}});
  return Json{{"number", s.number},
              {"id", hex(s.id)},
              {"source_id", hex(s.source_id)},
              {"size", s.size},
              {"sha256", to_hex(s.sha256)},
              {"from", s.from},
              {"to", s.to},
              {"records", s.records},
              {"sealed", s.sealed},
              {"damaged", std::move(damages)}};
}

uint64_t unsigned_number(const ParsedJson& of, const char* name) {
  return static_cast<uint64_t>(json_number(of, name));
}

std::optional<BackupSegment> segment_of(const ParsedJson& json) {
  BackupSegment s;
  const auto number = json_number(json, "number");
  const auto sum = from_hex(json_string(json, "sha256"));
  const auto& sealed = json_member(json, "sealed");
  if (number <= 0 || number > UINT32_MAX || !read_id(json, "id", s.id) ||
      !read_id(json, "source_id", s.source_id) || json_number(json, "size") < 0 || !sum ||
      sum->size() != 32 || !sealed.is_boolean())
    return std::nullopt;
  s.number = static_cast<uint32_t>(number);
  s.size = unsigned_number(json, "size");
  s.sha256 = *sum;
  s.from = unsigned_number(json, "from");
  s.to = unsigned_number(json, "to");
  s.records = unsigned_number(json, "records");
  s.sealed = sealed.get<bool>();
  for (const auto& d : json_member(json, "damaged"))
    s.damages.push_back(
        {unsigned_number(d, "offset"), unsigned_number(d, "length"), json_string(d, "what")});
  return s;
}

}  // namespace

std::string utc_text(int64_t time) {
  const auto seconds = static_cast<time_t>(time);
  tm parts{};
  char text[64];
  if (!gmtime_r(&seconds, &parts) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
    return fmt::format("{}", time);
  return text;
}

std::string encode(const BackupManifest& m) {
  Json segments = Json::array();
  for (const auto& s : m.segments) segments.push_back(to_json(s));
  Json members{{"rims_backup", kBackupVersion},
               {"user", m.user.empty() ? Json() : Json(m.user)},
               {"account", m.account},
               {"account_id", hex(m.account_id)},
               {"made", m.made},
               {"made_utc", utc_text(m.made)},
               {"last", Json{{"seq", m.end.seq},
                             {"id", hex(m.end.id)},
                             {"time", m.end.time},
                             {"time_utc", m.end.time ? Json(utc_text(m.end.time)) : Json()},
                             {"segment", m.end.segment},
                             {"offset", m.end.offset}}},
               {"segments", std::move(segments)}};
  if (m.replacing) members["replacing"] = to_json(*m.replacing);
  std::string text = json_text(members, true);
  text.resize(text.size() - 2);  // "\n}"
  const std::string sum = to_hex(sha256(text));
  return text.append(kSum).append(sum).append(kEnd);
}

Result<BackupManifest> decode_manifest(std::string_view text, const std::string& name) {
  const auto damaged = [&](std::string_view what) {
    return fail(Fault::storage, "the backup is damaged", fmt::format("{}: {}", name, what));
  };
  // The version first, so that a newer format is not reported as damage.
  const auto parsed = parse_json(text);
  const ParsedJson json = parsed ? *parsed : ParsedJson();
  const auto version = json_number(json, "rims_backup");
  if (version > kBackupVersion)
    return fail(Fault::storage, "the backup is of a newer version",
                fmt::format("{}: format version {}, this program knows {}: not touched", name,
                            version, kBackupVersion),
                "VERSION");
  const size_t at = text.rfind(kSum);
  if (at == text.npos ||
      text.substr(at) != fmt::format("{}{}{}", kSum, to_hex(sha256(text.substr(0, at))), kEnd))
    return damaged("its checksum is wrong");
  if (!parsed) return damaged(parsed.error().reply());
  BackupManifest m;
  m.user = json_string(json, "user");
  m.account = json_string(json, "account");
  m.made = json_number(json, "made");
  const auto& last = json_member(json, "last");
  m.end = {.seq = unsigned_number(last, "seq"),
           .id = {},
           .time = static_cast<uint32_t>(json_number(last, "time")),
           .segment = static_cast<uint32_t>(json_number(last, "segment")),
           .offset = unsigned_number(last, "offset")};
  if (version != kBackupVersion || !read_id(json, "account_id", m.account_id) ||
      !read_id(last, "id", m.end.id))
    return damaged("a member is missing or wrong");
  for (const auto& one : json_member(json, "segments")) {
    auto segment = segment_of(one);
    if (!segment || (!m.segments.empty() && segment->number <= m.segments.back().number))
      return damaged("a segment is wrong");
    m.segments.push_back(*std::move(segment));
  }
  if (const auto& replacing = json_member(json, "replacing"); replacing.is_object()) {
    m.replacing = segment_of(replacing);
    if (!m.replacing) return damaged("a segment is wrong");
  }
  return m;
}

}  // namespace rims::store
