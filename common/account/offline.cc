// common/account/offline.cc - a store with one account and no server around it

#include "common/account/offline.h"

namespace rims::store {

Result<std::unique_ptr<OfflineAccount>> OfflineAccount::open(Options options,
                                                             const std::string& user,
                                                             Milliseconds timeout, bool create) {
  options.take_over = timeout;
  options.create = create;
  std::unique_ptr<OfflineAccount> made(new OfflineAccount(std::move(options)));
  TRY(made->account_, made->run(made->store_.open(user)));
  return made;
}

OfflineAccount::~OfflineAccount() { close(); }

void OfflineAccount::close() {
  account_.reset();
  rims::run(loop_, store_.close_all());
}

}  // namespace rims::store
