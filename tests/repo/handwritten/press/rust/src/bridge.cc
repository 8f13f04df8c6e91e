#include "bridge.h"

#include <string>
#include <string_view>
#include <utility>

#include "written-press-client/src/lib.rs.h"

/* This thread's table, from the crate chimaera; null if the thread has none. */
const chi_ipc *written_press_bridge_ipc() {
  return reinterpret_cast<const chi_ipc *>(written::press::bridge::current_ipc());
}

namespace written::press::bridge {
namespace {

/* Runs `call`. An exception is converted to its status and message. */
template <typename Call>
Outcome Guard(Call call) {
  try {
    call();
    return {CHI_OK, rust::String()};
  } catch (const chi::Error &error) {
    return {error.status(), rust::String::lossy(error.what())};
  } catch (const std::exception &error) {
    return {CHI_FAILED, rust::String::lossy(error.what())};
  }
}

Client ClientOf(Pool pool) {
  Client client;
  client.pool_id_ = chi::PoolId(chi_pool_id{pool.major, pool.minor});
  return client;
}

std::string_view View(rust::Str text) { return {text.data(), text.size()}; }

press::Extent ToCpp(const Extent &extent) { return {extent.start, extent.blocks, extent.reserved}; }

Extent ToRust(const press::Extent &extent) {
  return {extent.start_, extent.blocks_, extent.reserved_};
}

EntryValue<press::Extent> ToCpp(const Entry &entry) {
  return {
      std::string(entry.name), ToCpp(entry.extent), {entry.weights.begin(), entry.weights.end()}};
}

Entry ToRust(const EntryValue<press::Extent> &entry) {
  Entry made{rust::String(entry.name), ToRust(entry.extent), {}};
  for (const float weight : entry.weights) made.weights.push_back(weight);
  return made;
}

Client::Turn ToCpp(const Turn &turn) {
  Client::Turn made;
  made.text = std::string(turn.text);
  for (const rust::String &word : turn.words) made.words.emplace_back(word);
  for (const Extent &extent : turn.extents) made.extents.push_back(ToCpp(extent));
  made.entry = ToCpp(turn.entry);
  for (const Entry &entry : turn.entries) made.entries.push_back(ToCpp(entry));
  made.total = turn.total;
  return made;
}

void ToRust(const Client::Turn &turn, Turn &made) {
  made.text = rust::String(turn.text);
  for (const std::string &word : turn.words) made.words.push_back(rust::String(word));
  for (const press::Extent &extent : turn.extents) made.extents.push_back(ToRust(extent));
  made.entry = ToRust(turn.entry);
  for (const EntryValue<press::Extent> &entry : turn.entries) {
    made.entries.push_back(ToRust(entry));
  }
  made.total = turn.total;
}

}  // namespace

Outcome create(rust::Str pool_name, Pool &pool) {
  return Guard([&] {
    Client client;
    client.Create(kModule, std::string(pool_name));
    pool = Pool{client.pool_id_.major_, client.pool_id_.minor_};
  });
}

Outcome start_turn(Pool pool, const Turn &turn, std::unique_ptr<PendingTurn> &pending) {
  return Guard([&] {
    pending.reset(
        new PendingTurn{ClientOf(pool).AsyncTurn(chi::DomainQuery::Dynamic(), ToCpp(turn))});
  });
}

Outcome finish_turn(const PendingTurn &pending, Turn &turn) {
  return Guard([&] { ToRust(Client::Finish(pending.task), turn); });
}

Outcome fail(Pool pool, bool thrown, rust::Str why) {
  return Guard([&] { ClientOf(pool).Fail(chi::DomainQuery::Dynamic(), thrown, View(why)); });
}

Outcome relay(Pool pool, rust::Str store, rust::Str text, std::uint32_t width, rust::Str why,
              rust::Vec<rust::String> &answers) {
  return Guard([&] {
    const chi::DomainQuery query = chi::DomainQuery::Dynamic();
    for (const std::string &answer :
         ClientOf(pool).Relay(query, View(store), View(text), width, View(why))) {
      answers.push_back(rust::String(answer));
    }
  });
}

}  // namespace written::press::bridge
