// Ranks whose sums are divided: what does not fit them is refused, on every rank and with one sentence.
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "g4/backend/joined.h"
#include "g4/backend/reference.h"
#include "g4/open/ranks.h"
#include "tests/model/session_checks.h"
#include "tests/support/lead.h"
#include "tests/support/model_on_disk.h"
#include "tests/support/on_ranks.h"

namespace {

using namespace g4;
using test::last_of;
using test::lead;
using test::on_disk;
using test::on_ranks;
using test::some_ids;
using variant = test::tiny_gemma3;
using reference = backend::reference<float>;
using joined = backend::joined<reference, comm::thread_rank>;

TEST(ranks, that_differ_in_their_sums_are_refused_by_all) {
  const on_disk<variant> disk;
  on_ranks(2, [&](comm::thread_rank& rank) {
    joined on(rank);
    const auto expect_refused = [](const auto& model) {
      ASSERT_FALSE(model);
      EXPECT_NE(model.error().message.find("rank 1 has another kind of sums than rank 0: whole, not divided"), std::string::npos)
          << model.error().message;
    };
    if (rank.rank() == 0) {
      expect_refused(open<sharded<variant, tensor_parallel<2, sums::divided>>>(disk.from, on));
    } else {
      expect_refused(open<sharded<variant, tensor_parallel<2>>>(disk.from, on));
    }
  });
}

/// The tensors of a checkpoint, one of them in blocks of 32.
class with_blocks {
 public:
  with_blocks(const io::tensor_file& of, const std::string& name) {
    std::vector<io::stored_tensor> entries(of.tensors().begin(), of.tensors().end());
    for (io::stored_tensor& t : entries) {
      if (!t.name.ends_with(name)) continue;
      constexpr storage_facts q8 = facts_of(storage::q8_0);
      bytes_.resize(t.dims.elements() / q8.block_elements * q8.block_bytes);
      for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i % 7 + 1);
      for (std::size_t block = 0; block < bytes_.size(); block += q8.block_bytes) {
        bytes_[block] = std::byte{0};
        bytes_[block + 1] = std::byte{0x20};  // 2^-7
      }
      t.type = io::element_of(storage::q8_0);
      t.bytes = bytes_;
    }
    file_ = *io::tensor_file::make("blocks", std::move(entries), {});
  }
  [[nodiscard]] const io::tensor_file& file() const { return file_; }

 private:
  std::vector<std::byte> bytes_;
  io::tensor_file file_;
};

TEST(ranks, whose_divided_sums_would_cut_a_block_are_refused) {
  on_disk<variant> disk;
  const with_blocks blocks(disk.from.tensors, "layers.0.self_attn.o_proj.weight");
  ASSERT_FALSE(blocks.file().tensors().empty());
  disk.from.tensors = blocks.file();
  const auto opened = [&]<int R, sums How>() {
    std::vector<std::string> said(R);
    on_ranks(R, [&](comm::thread_rank& rank) {
      joined on(rank);
      const auto model = open<sharded<variant, tensor_parallel<R, How>>>(disk.from, on);
      if (!model) said[static_cast<std::size_t>(rank.rank())] = model.error().message;
      if (model && !on.leads()) {
        EXPECT_TRUE(model->follow());
      }
    });
    return said;
  };
  const std::string sentence =
      "self_attn.o_proj.weight is stored as Q8_0, whose blocks of 32 numbers 4 ranks would cut, 16 columns each; take sums::whole, or "
      "fewer ranks";
  for (const std::string& one : opened.operator()<4, sums::divided>()) EXPECT_NE(one.find(sentence), std::string::npos) << one;
  EXPECT_EQ((opened.operator()<2, sums::divided>()), std::vector<std::string>(2)) << "32 columns each";
  EXPECT_EQ((opened.operator()<2, sums::whole>()), std::vector<std::string>(2)) << "rows";
}

TEST(ranks, a_text_saved_with_divided_sums_is_of_that_number_of_ranks) {
  const on_disk<variant> disk;
  const std::filesystem::path saved = disk.folder / "divided.g4";
  const auto on_so_many = [&]<int R, sums How>(auto&& with_text) {
    lead<sharded<variant, tensor_parallel<R, How>>, reference>(disk.from, [&](const auto& model) {
      auto text = *model.session({.context = 32, .batch = 8});
      with_text(text);
    });
  };
  std::vector<float> expected;
  on_so_many.operator()<2, sums::divided>([&](auto& text) {
    last_of(text, {some_ids(13, variant::vocab)});
    const auto done = save(text, saved.string());
    EXPECT_TRUE(done) << done.error().message;
    expected = last_of(text, {some_ids(3, variant::vocab)});
  });
  const auto refused = [&](auto& text) {
    const auto done = restore(saved.string(), text);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("sums divided among 2"), std::string::npos) << done.error().message;
    EXPECT_EQ(text.size(), 0u);
    last_of(text, {some_ids(3, variant::vocab)});  // and all ranks go on
  };
  on_so_many.operator()<4, sums::divided>(refused);
  on_so_many.operator()<2, sums::whole>(refused);
  reference plain;
  const auto whole = open<variant>(disk.from, plain);
  ASSERT_TRUE(whole) << whole.error().message;
  auto alone = *whole->session({.context = 32, .batch = 8});
  refused(alone);
  on_so_many.operator()<2, sums::divided>([&](auto& text) {
    const auto done = restore(saved.string(), text);
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_EQ(last_of(text, {some_ids(3, variant::vocab)}), expected);
  });
}

}  // namespace
