// cli/ctl_domain.cc - rims-ctl domain: the mail domains of the user directory

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl.h"
#include "cli/options.h"
#include "cli/users_client.h"
#include "common/base/json.h"
#include "common/base/log.h"

namespace rims::ctl {
namespace {

int complain_of(const Error& error) {
  if (error.fault() == Fault::not_found)
    return complain(
        "rims does not run (" + error.reply() + "); the user directory is changed while it runs",
        kNotRunning);
  return complain("domain: " + error.reply(), kFailed);
}

int list(const std::string& run_dir, bool json) {
  const auto all = cli::told_domains(run_dir);
  if (!all) return complain_of(all.error());
  Json domains = Json::array();
  for (const ipc::DomainTold& domain : *all) {
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    if (json)
      domains.push_back({{"domain", domain.domain.value},
                         {"alias_of", or_null(domain.alias_of.value)},
                         {"catch_all", or_null(domain.catch_all.value)}});
    else if (!domain.alias_of.value.empty())
      std::printf("%s  alias of %s\n", domain.domain.value.c_str(), domain.alias_of.value.c_str());
    else if (!domain.catch_all.value.empty())
      std::printf("%s  catch-all %s\n", domain.domain.value.c_str(),
                  log::printable(domain.catch_all.value).c_str());
    else
      std::printf("%s\n", domain.domain.value.c_str());
  }
  if (json) std::printf("%s\n", json_text({{"domains", std::move(domains)}}, true).c_str());
  return kDone;
}

}  // namespace

int domain(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false, nobody = false;
  cli::OptionParser parser(
      "rims-ctl domain list [options]\n"
      "       rims-ctl domain add|del [options] DOMAIN\n"
      "       rims-ctl domain alias [options] ALIAS DOMAIN\n"
      "       rims-ctl domain catch-all [options] DOMAIN USER\n"
      "       rims-ctl domain catch-all --nobody [options] DOMAIN");
  add_common(parser, with);
  parser.add_flag(0, "json", "list: as JSON on standard output.", json);
  parser.add_flag(0, "nobody", "catch-all: what is for nobody is refused.", nobody);
  const auto operands = parser.parse(args);
  if (!operands) return complain("domain: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const std::string_view name = operands->empty() ? "" : std::string_view(operands->front());
  const size_t count = operands->empty() ? 0 : operands->size() - 1;
  ipc::EditDomain edit;
  bool good = true;
  if (name == "add" || name == "del") {
    good = count == 1;
    edit.edit = name == "add" ? ipc::DomainEdit::add : ipc::DomainEdit::remove;
  } else if (name == "alias") {
    good = count == 2;
    edit.edit = ipc::DomainEdit::alias;
  } else if (name == "catch-all") {
    good = count == (nobody ? 1 : 2);
    edit.edit = ipc::DomainEdit::catch_all;
  } else {
    good = name == "list" && count == 0;
  }
  if (good && count > 0) edit.domain = (*operands)[1];
  if (good && count > 1) edit.text = (*operands)[2];
  if (!good || (count > 0 && !edit.domain.within()) || !edit.text.within() ||
      (count > 1 && edit.text.value.empty()))
    return complain(
        "domain: need list, add DOMAIN, del DOMAIN, alias ALIAS DOMAIN, or catch-all "
        "DOMAIN USER",
        kUsage);
  const Loaded loaded = load(with, false);
  if (!loaded.config) return loaded.status;
  if (const auto status = of_another(*loaded.config)) return *status;
  const std::string& run_dir = loaded.config->paths_run_dir;
  if (name == "list") return list(run_dir, json);
  const Status changed = cli::change_domain(run_dir, std::move(edit));
  return changed ? kDone : complain_of(changed.error());
}

}  // namespace rims::ctl
