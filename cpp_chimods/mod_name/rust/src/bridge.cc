#include "bridge.h"

#include <memory>
#include <string>
#include <string_view>

#include "example-mod-name-client/src/lib.rs.h"
#include "mod_name/mod_name_client.h"

/* This thread's table, from the crate chimaera; null if the thread has none. */
const chi_ipc *example_mod_name_bridge_ipc() {
  return reinterpret_cast<const chi_ipc *>(example::mod_name::bridge::current_ipc());
}

namespace example::mod_name::bridge {
namespace {

/* Runs `call`, which fills in the reply. An exception is converted to its status and message. */
template <typename Call>
Reply Guard(Call call) {
  Reply reply{CHI_OK, rust::String(), Pool{0, 0}, nullptr};
  try {
    call(reply);
  } catch (const chi::Error &error) {
    reply.status = error.status();
    reply.message = rust::String::lossy(error.what());
  } catch (const std::exception &error) {
    reply.status = CHI_FAILED;
    reply.message = rust::String::lossy(error.what());
  }
  return reply;
}

Client ClientOf(Pool pool) {
  Client client;
  client.pool_id_ = chi::PoolId(chi_pool_id{pool.major, pool.minor});
  return client;
}

chi::DomainQuery QueryOf(Query query) {
  return chi::DomainQuery(chi_domain_query{query.kind, query.value});
}

std::string_view View(rust::Slice<const std::uint8_t> data) {
  return {reinterpret_cast<const char *>(data.data()), data.size()};
}

template <typename Task>
void Take(Task &task, Reply &reply) {
  task->Wait();
  task->ThrowIfFailed();
  reply.bytes = std::make_unique<std::string>(task->output_.view());
}

}  // namespace

Reply create(rust::Str pool_name) {
  return Guard([&](Reply &reply) {
    Client client;
    client.Create(HSHM_MCTX, std::string(pool_name));
    reply.pool = Pool{client.pool_id_.major_, client.pool_id_.minor_};
  });
}

Reply compress(Pool pool, Query query, rust::Slice<const std::uint8_t> data, std::int32_t level) {
  return Guard([&](Reply &reply) {
    chi::OwnedTask<CompressTask> task(
        ClientOf(pool).AsyncCompress(HSHM_MCTX, QueryOf(query), View(data), level));
    Take(task, reply);
  });
}

Reply decompress(Pool pool, Query query, rust::Slice<const std::uint8_t> data,
                 std::uint64_t max_size) {
  return Guard([&](Reply &reply) {
    chi::OwnedTask<DecompressTask> task(
        ClientOf(pool).AsyncDecompress(HSHM_MCTX, QueryOf(query), View(data), max_size));
    Take(task, reply);
  });
}

}  // namespace example::mod_name::bridge
