/* Calls both modules from C++. */
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "parts_described_client.h"
#include "shelf_described_client.h"

#define EXPECT(CONDITION)                                                    \
  do {                                                                       \
    if (!(CONDITION)) {                                                      \
      std::fprintf(stderr, "line %d: %s is not so\n", __LINE__, #CONDITION); \
      std::exit(1);                                                          \
    }                                                                        \
  } while (false)

namespace {

template <typename Extent>
Extent MakeExtent(chi::u64 start) {
  Extent extent{};
  extent.start_ = start;
  extent.blocks_ = 7;
  return extent;
}

template <typename Client, typename Extent, typename EntryValue>
void Call(const char *pool) {
  const auto query = chi::DomainQuery::Dynamic();
  Client client;
  client.Create(HSHM_MCTX, pool);
  client.Nothing(HSHM_MCTX, query);
  EXPECT((client.Sum(HSHM_MCTX, query, "abcde", 2, false) == std::vector<chi::u64>{195, 199, 101}));
  try {
    client.Sum(HSHM_MCTX, query, "abcde", 2, true);
    EXPECT(false);
  } catch (const chi::Error &error) {
    EXPECT(error.status() == CHI_INVALID);
  }

  EntryValue entry;
  entry.name = "name";
  entry.extent = MakeExtent<Extent>(5);
  entry.data = "data";
  entry.weights = {0.5f};
  std::array<chi::u8, 20> digest{};
  for (chi::u8 i = 0; i < 20; ++i) digest[i] = i;
  const auto got = client.Turn(
      HSHM_MCTX, query, -3, 1.25, true, digest, "text", "bytes", MakeExtent<Extent>(1), entry,
      {MakeExtent<Extent>(1), MakeExtent<Extent>(2)}, {"one", "", "three"}, {"12", ""},
      {{1, 2, 3}, {}}, {entry, EntryValue()}, {MakeExtent<Extent>(3), MakeExtent<Extent>(4)});
  EXPECT(got.tiny == 3 && got.wide == 2.5 && !got.flag);
  EXPECT(std::equal(digest.rbegin(), digest.rend(), got.digest.begin()));
  EXPECT(got.text == "txet" && got.data == "setyb" && got.extent.start_ == 2);
  EXPECT(got.entry.name == "name!" && got.entry.extent.blocks_ == 8 && got.entry.data == "atad");
  EXPECT((got.entry.weights == std::vector<chi::f32>{0.5f, 1}) && got.entry.kind == 1);
  EXPECT(got.extents.size() == 2 && got.extents[0].start_ == 2);
  EXPECT((got.words == std::vector<std::string>{"eno", "", "eerht"}));
  EXPECT((got.blobs == std::vector<std::string>{"21", ""}));
  EXPECT((got.rows == std::vector<std::vector<chi::i16>>{{3, 2, 1}, {}}));
  EXPECT(got.entries.size() == 2 && got.entries[0].name == "name!" && got.entries[1].name == "!");
  EXPECT(got.pairs[0].start_ == 4 && got.pairs[1].start_ == 3);
}

}  // namespace

int main() {
  try {
    chi::Session session;
    namespace parts = described::parts;
    namespace shelf = described::shelf;
    Call<parts::DescribedClient, parts::Extent, parts::EntryValue>("cpp_parts");
    Call<shelf::DescribedClient, shelf::Extent, shelf::EntryValue>("cpp_shelf");
  } catch (const chi::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
