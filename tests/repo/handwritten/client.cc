/* Calls both modules from C++. */
#include "expect.h"
#include "expect_failure.h"
#include "loom/loom_client.h"
#include "press/press_c.h"
#include "press/press_client.h"

/* The structs of the C++ module in C are the same as in C++. */
#define SAME(CPP, C, FIELD)                                                                   \
  static_assert(offsetof(written::press::CPP, FIELD) == offsetof(written_press_##C, FIELD) && \
                    sizeof(written::press::CPP) == sizeof(written_press_##C),                 \
                "the structs differ")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
SAME(Extent, extent, blocks_);
SAME(Entry, entry, extent_);
SAME(Entry, entry, weights_);
SAME(TurnTask, turn_task, text_);
SAME(TurnTask, turn_task, words_);
SAME(TurnTask, turn_task, extents_);
SAME(TurnTask, turn_task, entry_);
SAME(TurnTask, turn_task, entries_);
SAME(TurnTask, turn_task, total_);
SAME(FailTask, fail_task, thrown_);
SAME(FailTask, fail_task, why_);
SAME(RelayTask, relay_task, store_);
SAME(RelayTask, relay_task, text_);
SAME(RelayTask, relay_task, width_);
SAME(RelayTask, relay_task, why_);
SAME(RelayTask, relay_task, answers_);
#pragma GCC diagnostic pop

namespace {

const chi::DomainQuery kQuery = chi::DomainQuery::Dynamic();

template <typename Client>
void CallTurn(Client &client) {
  const std::string text(LONG_SIZE, 'a');
  typename Client::Turn turn;
  turn.text = TEXT;
  turn.words = {"one", "", text, TEXT};
  turn.extents = {{1, 7, 0}, {2, 8, 0}};
  turn.entry = {text, {3, 9, 0}, {0.5f}};
  turn.entries = {turn.entry, {}};
  turn.total = 40;
  const auto got = client.CallTurn(kQuery, turn);
  EXPECT(got.text == TEXT "!" && got.total == 44);
  EXPECT((got.words == std::vector<std::string>{TEXT, text, "", "one"}));
  EXPECT(got.extents.size() == 2 && got.extents[1].start_ == 2 && got.extents[1].blocks_ == 9);
  EXPECT(got.entry.name == text + "?" && got.entry.extent.start_ == 4);
  EXPECT((got.entry.weights == std::vector<chi::f32>{0.5f, 1}));
  EXPECT(got.entries.size() == 2 && got.entries[0].name == text + "?");
  EXPECT(got.entries[1].name == "?" && got.entries[1].weights.size() == 1);
}

template <typename Client>
void Call(const char *module, const char *pool, const char *other) {
  Client client;
  client.Create(module, pool);
  ExpectFailure(CHI_MODULE_STATUS, TEXT, [&] { client.Fail(kQuery, false, TEXT); });
  ExpectFailure(CHI_FAILED, TEXT, [&] { client.Fail(kQuery, true, TEXT); });
  ExpectFailure(CHI_UNSUPPORTED, "kOld", [&] { CallMethod(client.pool_id_, 13); });
  ExpectFailure(CHI_NO_METHOD, "99", [&] { CallMethod(client.pool_id_, 99); });
  CallTurn(client);
  EXPECT(
      (client.Relay(kQuery, other, TEXT, 2, "") == std::vector<std::string>{TEXT "0!", TEXT "1!"}));
  ExpectFailure(CHI_MODULE_STATUS, TEXT, [&] { client.Relay(kQuery, other, TEXT, 2, TEXT); });
}

/* The task of the Rust source is sent as the same bytes here and there. */
void SendTurn() {
  using written::loom::Extent;
  using written::loom::TurnTask;
  const Extent extent{3, 9, 0};
  chi::OwnedTask<TurnTask> task(
      CHI_IPC_MANAGER->NewTask<TurnTask>(HSHM_MCTX, chi::PoolId(), kQuery));
  const hipc::Owner owner(task.get());
  task->text_ = "t";
  for (const char *word : {"a", ""}) task->words_.emplace_back(word);
  task->extents_.push_back(extent);
  task->entry_.name_.assign(owner, "e");
  task->entry_.extent_ = extent;
  task->entries_.emplace_back().name_.assign(owner, "f");
  task->total_ = 40;
  const auto entry = [](const char *name, const Extent &at) {
    return chi::ToBytes(std::string(name)) + chi::ToBytes(at) +
           chi::ToBytes(std::vector<chi::f32>());
  };
  const std::string bytes =
      chi::ToBytes(std::string("t")) + chi::ToBytes(std::vector<std::string>{"a", ""}) +
      chi::ToBytes(std::vector<Extent>{extent}) + entry("e", extent) + chi::ToBytes(chi::u64{1}) +
      entry("f", Extent{}) + chi::ToBytes(chi::u64{40});
  chi::SaveArchive in;
  task->SerializeIn(in);
  EXPECT(in.TakeBytes() == bytes);
  chi::SaveArchive out;
  task->SerializeOut(out);
  EXPECT(out.TakeBytes() == bytes);
}

}  // namespace

int main() {
  try {
    chi::Session session;
    SendTurn();
    Call<written::press::Client>(written::press::kModule, "cpp_press", "cpp_other_loom");
    Call<written::loom::Client>(written::loom::kModule, "cpp_loom", "cpp_other_press");
  } catch (const chi::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
