/* Calls both modules from C++. */
#include <algorithm>

#include "expect.h"
#include "expect_failure.h"
#include "parts_described_client.h"
#include "shelf_described_client.h"

namespace {

const chi::DomainQuery kQuery = chi::DomainQuery::Dynamic();

template <typename Extent>
Extent MakeExtent(chi::u64 start) {
  Extent extent{};
  extent.start_ = start;
  extent.blocks_ = 7;
  return extent;
}

/* The task of a client that was built from another description. */
template <typename T>
struct Stale : public T {
  CLS_CONST chi::u32 kDescription = T::kDescription ^ 1;
  using T::T;
};

template <typename SumTask>
void CallStale(const chi::PoolId &pool, const std::string &module) {
  chi::OwnedTask<Stale<SumTask>> task(CHI_IPC_MANAGER->SubmitTask<Stale<SumTask>>(
      HSHM_MCTX, pool, kQuery, "abcde", chi::u32{2}, false));
  task->Wait();
  ExpectFailure(CHI_VERSION,
                "client built from another description of " + module + " kSum; rebuild",
                [&] { task->ThrowIfFailed(); });
}

template <typename Client>
void CallForErrors(Client &client) {
  ExpectFailure(CHI_INVALID, "the last block is not whole",
                [&] { client.Sum(HSHM_MCTX, kQuery, "abcde", 2, true); });
  ExpectFailure(CHI_MODULE_STATUS, TEXT, [&] { client.Fail(HSHM_MCTX, kQuery, false, TEXT); });
  ExpectFailure(CHI_FAILED, TEXT, [&] { client.Fail(HSHM_MCTX, kQuery, true, TEXT); });
  ExpectFailure(CHI_UNSUPPORTED, "kOld", [&] { CallMethod(client.pool_id_, 15); });
  ExpectFailure(CHI_NO_METHOD, "99", [&] { CallMethod(client.pool_id_, 99); });
}

template <typename Extent, typename EntryValue, typename Client>
void CallTurn(Client &client) {
  EntryValue entry;
  entry.name_ = TEXT;
  entry.extent_ = MakeExtent<Extent>(5);
  entry.data_ = "data";
  entry.weights_ = {0.5f};
  std::array<chi::u8, 20> digest{};
  for (chi::u8 i = 0; i < 20; ++i) digest[i] = i;
  const std::string text = "a" + std::string(LONG_SIZE, 'b');
  const auto got = client.Turn(
      HSHM_MCTX, kQuery, -3, 1.25, true, digest, text, "bytes", MakeExtent<Extent>(1), entry,
      {MakeExtent<Extent>(1), MakeExtent<Extent>(2)}, {"one", "", text, TEXT}, {"12", ""},
      {{1, -2, 3}, {}}, {entry, EntryValue()}, {MakeExtent<Extent>(3), MakeExtent<Extent>(4)});
  const std::string turned(text.rbegin(), text.rend());
  EXPECT(got.tiny_ == 3 && got.wide_ == 2.5 && !got.flag_);
  EXPECT(std::equal(digest.rbegin(), digest.rend(), got.digest_.begin()));
  EXPECT(got.text_ == turned && got.data_ == "setyb" && got.extent_.start_ == 2);
  EXPECT(got.entry_.name_ == TEXT "!" && got.entry_.extent_.blocks_ == 8);
  EXPECT(got.entry_.data_ == "atad" && got.entry_.kind_ == 1);
  EXPECT((got.entry_.weights_ == std::vector<chi::f32>{0.5f, 1}));
  EXPECT(got.extents_.size() == 2 && got.extents_[0].start_ == 2);
  EXPECT(got.words_.size() == 4 && got.words_[0] == "eno" && got.words_[1].empty());
  EXPECT(got.words_[2] == turned &&
         std::string(got.words_[3].rbegin(), got.words_[3].rend()) == TEXT);
  EXPECT((got.blobs_ == std::vector<std::string>{"21", ""}));
  EXPECT((got.rows_ == std::vector<std::vector<chi::i16>>{{3, -2, 1}, {}}));
  EXPECT(got.entries_.size() == 2 && got.entries_[0].name_ == TEXT "!");
  EXPECT(got.entries_[1].name_ == "!");
  EXPECT(got.pairs_[0].start_ == 4 && got.pairs_[1].start_ == 3);
}

template <typename Client, typename Params>
void CallParams(const std::string &module) {
  const Params defaults;
  EXPECT(defaults.factor_ == INT64_MIN && defaults.limit_ == UINT64_MAX);
  Params params;
  params.factor_ = 7;
  params.exact_ = false;
  params.note_ = TEXT;
  Client client;
  client.Create(HSHM_MCTX, "typed", params);
  const auto found = client.Settings(HSHM_MCTX, kQuery);
  EXPECT(found.factor_ == 7 && found.share_ == 0.25f && !found.exact_);
  EXPECT(found.label_ == "the \"label\"" && found.note_ == TEXT && found.limit_ == UINT64_MAX);
  const auto create = [&](std::string_view bytes) {
    return CHI_IPC_MANAGER->CreatePool(module, "typed", bytes);
  };
  EXPECT(create("note=" TEXT ",factor=7,exact=false") == client.pool_id_);
  Client same;
  same.FindPool(HSHM_MCTX, "typed");
  EXPECT(same.pool_id_ == client.pool_id_);
  ExpectFailure(CHI_NO_POOL, "no pool", [&] { same.FindPool(HSHM_MCTX, "nobody"); });
  ExpectFailure(CHI_INVALID, "is of module chimaera:admin",
                [&] { same.FindPool(HSHM_MCTX, "admin"); });
  ExpectFailure(CHI_EXISTS, "with other parameters", [&] { create("factor=7"); });
  ExpectFailure(CHI_INVALID, "malformed pool parameters: the bytes end too early",
                [&] { create(std::string_view("\1\2", 2)); });
  ExpectFailure(CHI_INVALID,
                "there is no parameter \"size\"; known parameters: factor, share, exact",
                [&] { create("size=1"); });
  client.Destroy(HSHM_MCTX);
}

template <typename Client, typename Extent, typename EntryValue>
void Call(const char *pool, const char *other) {
  using Sums = std::vector<chi::u64>;
  Client client;
  client.Create(HSHM_MCTX, pool);
  client.Nothing(HSHM_MCTX, kQuery);
  EXPECT((client.Sum(HSHM_MCTX, kQuery, "abcde", 2, false) == Sums{195, 199, 101}));
  EXPECT(client.Sum(HSHM_MCTX, kQuery, "", 2, true).empty());

  /* The same bytes as in the Rust test. */
  chi::OwnedTask sum(client.AsyncSum(HSHM_MCTX, kQuery, "abcde", 2, false));
  sum->Wait();
  chi::SaveArchive ins;
  sum->SerializeIn(ins);
  EXPECT(ins.TakeBytes() == std::string("\5\0\0\0\0\0\0\0abcde\2\0\0\0\0", 18));
  chi::SaveArchive outs;
  sum->SerializeOut(outs);
  EXPECT(outs.TakeBytes() == chi::ToBytes(Sums{195, 199, 101}));
  CallForErrors(client);
  CallTurn<Extent, EntryValue>(client);
  EXPECT((client.Relay(HSHM_MCTX, kQuery, other, "abc", 3, "") == Sums{97, 195, 294}));
  ExpectFailure(CHI_MODULE_STATUS, TEXT,
                [&] { client.Relay(HSHM_MCTX, kQuery, other, "abc", 3, TEXT); });
}

}  // namespace

int main() {
  try {
    chi::Session session;
    namespace parts = described::parts;
    namespace shelf = described::shelf;
    Call<parts::DescribedClient, parts::Extent, parts::EntryValue>("cpp_parts", "cpp_other_shelf");
    Call<shelf::DescribedClient, shelf::Extent, shelf::EntryValue>("cpp_shelf", "cpp_other_parts");
    CallStale<parts::SumTask>(CHI_IPC_MANAGER->FindPool("cpp_parts"), "described:parts");
    CallStale<shelf::SumTask>(CHI_IPC_MANAGER->FindPool("cpp_shelf"), "described:shelf");
    CallParams<parts::DescribedClient, parts::Params>("described:parts");
    CallParams<shelf::DescribedClient, shelf::Params>("described:shelf");
  } catch (const chi::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
