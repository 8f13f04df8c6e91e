/* Creates a pool of several containers and sends tasks with every kind of query, in C++:
 * cpp_containers MODULE CONTAINERS. Prints a JSON line with the status and the reason of a
 * failure. */
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "report.h"
#include "spread_tasks.h"

namespace {

using chi::DomainQuery;
using chi::u32;
using test::spread::GatherTask;
using test::spread::WhereTask;

void Expect(bool met, const std::string &what) {
  if (!met) throw std::runtime_error(what);
}

u32 Where(const chi::PoolId &pool, const DomainQuery &query) {
  chi::OwnedTask<WhereTask> task(CHI_IPC_MANAGER->NewTask<WhereTask>(HSHM_MCTX, pool, query));
  CHI_IPC_MANAGER->Enqueue(task.get());
  task->Wait();
  task->ThrowIfFailed();
  Expect(task->text_.str() == std::to_string(task->container_), "the text");
  return task->container_;
}

void Run(const std::string &module, u32 containers) {
  const chi::Session session;
  auto *ipc = CHI_IPC_MANAGER;
  const std::string name = "cpp " + module + " " + std::to_string(containers);
  const chi::PoolId pool = ipc->CreatePool(module, name, {}, containers);
  Expect(ipc->CreatePool(module, name, {}, containers) == pool, "the pool is found again");
  try {
    ipc->CreatePool(module, name, {}, containers + 1);
    Expect(false, "another number of containers is refused");
  } catch (const chi::Error &error) {
    Expect(error.status() == CHI_EXISTS, error.what());
  }
  const u32 last = containers - 1;
  Expect(Where(pool, DomainQuery::LocalId(last)) == last, "LocalId");
  Expect(Where(pool, DomainQuery::GlobalId(last)) == last, "GlobalId");
  Expect(Where(pool, DomainQuery::LocalHash(containers + last)) == last, "LocalHash");
  Expect(Where(pool, DomainQuery::GlobalHash(containers + last)) == last, "GlobalHash");
  Expect(Where(pool, DomainQuery::Dynamic()) < containers, "Dynamic");
  Expect(Where(pool, DomainQuery::GlobalBcast()) == 0, "GlobalBcast without an aggregation");

  chi::OwnedTask<GatherTask> task(
      ipc->NewTask<GatherTask>(HSHM_MCTX, pool, DomainQuery::GlobalBcast()));
  task->text_ = "word ";
  task->notes_.emplace_back(hipc::Owner(task.get()), "in");
  task->bytes_.assign("in", 2);
  ipc->Enqueue(task.get());
  task->Wait();
  task->ThrowIfFailed();
  Expect(task->good_ == containers, "all containers succeed");
  Expect(task->sum_ == static_cast<chi::u64>(containers) * last / 2, "the sum");
  Expect(task->words_.size() == containers && task->numbers_.size() == containers, "the vectors");
  Expect(task->words_[last].str() == "word " + std::to_string(last), "the last word");
  ipc->DestroyPool(pool);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  return Report([&] { Run(argv[1], static_cast<u32>(std::strtoul(argv[2], nullptr, 10))); });
}
