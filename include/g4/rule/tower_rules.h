/// The sentences of wrong towers, and of wrong models with towers.
///
/// Rules take plain numbers, so that every compiler prints them. tests/compile_fail builds each once right, once wrong.
#pragma once

namespace g4::rule {

template <int... Sizes>
struct sizes_are_positive {
  static_assert(((Sizes > 0) && ...),
                "g4: a stage of a tower needs its size: a side in pixels, a number of samples, a width or a count of "
                "places, each at least 1. See vision_config and audio_config in config.json.");
};

template <bool IsStage>
struct is_a_stage {
  static_assert(IsStage,
                "g4: this is not a stage of a tower. A stage has describe(tower_spec&) and out(in) for what it takes; "
                "see docs/how_to_add.md.");
};

template <int Stages, int Most>
struct tower_is_short {
  static_assert(Stages > 0 && Stages <= Most,
                "g4: a tower has at least one stage and at most tower_spec::most_stages; raise that in spec/tower.h if "
                "a longer one appears. A stack of equal layers is one stage.");
};

template <bool Begins>
struct tower_begins_with_a_medium {
  static_assert(Begins,
                "g4: a tower begins with what it is shown: picture::any_aspect{...} for pictures, sound::waveform{...} "
                "for sounds. See the list of stages in policy/picture.h and policy/sound.h.");
};

/// Place counts from 0: the stage in front of the joint.
template <int Place, bool Meet>
struct neighbours_meet {
  static_assert(Meet,
                "g4: two neighbouring stages of a tower do not meet: what the one gives is nothing that the next "
                "takes. Give them in the order data meets them; policy/flow.h says what passes between stages.");
};

template <bool Ends>
struct tower_ends_in_the_text {
  static_assert(Ends,
                "g4: a tower ends with into_text<...>, once, so that its rows are as wide as the text's. See "
                "embedding_projection in the checkpoint.");
};

template <int First, int Count>
struct own_ids_are_counted {
  static_assert(First > 0 && Count > 0,
                "g4: into_text<norm::soft_and_hard, own_ids{first, count}> stands for count ids of the vocabulary from "
                "first on, at least one, and never for 0, the padding. See vocab_offset and vocab_size in vision_config "
                "and audio_config.");
};

template <int Multiple, int Side>
struct patches_fill_the_picture {
  static_assert(Multiple % Side == 0,
                "g4: the sides of a picture must be multiples of a patch's side, so that no pixel is left over. See "
                "patch_size and pooling_kernel_size in vision_config.");
};

template <int Multiple, int Side>
struct squares_fill_the_grid {
  static_assert(Multiple % Side == 0,
                "g4: the sides of a picture, counted in patches, must be multiples of mean_pooled{side}, so that no "
                "patch is left over. See pooling_kernel_size in vision_config.");
};

template <int Patches, int Places>
struct places_are_those_of_the_square {
  static_assert(
      Patches == Places,
      "g4: positions::learned{places} has one row for each patch of picture::square: as many as (side / patch side) "
      "squared. See image_size and patch_size in vision_config.");
};

template <int... Sizes>
struct encoder_has_its_sizes {
  static_assert(
      ((Sizes > 0) && ...),
      "g4: encoder<...> needs layers{...}, attention<heads{...}, head{...}, ...> and feed::gated or feed::plain "
      "with hidden{...}, each of at least 1. See vision_config.");
};

template <int Query, int KeyValue>
struct encoder_heads_share_keys_evenly {
  static_assert(
      Query % KeyValue == 0,
      "g4: the query heads of encoder<...> must share its key/value heads evenly: query % key_value == 0. See "
      "num_key_value_heads in vision_config.");
};

template <int HeadSize>
struct both_axes_turn_pairs {
  static_assert(
      HeadSize % 4 == 0,
      "g4: rope_2d turns pairs of numbers in each half of a head, so the head size must be a multiple of 4. See "
      "head_dim in vision_config.");
};

template <bool Understood>
struct is_a_part_of_an_encoder {
  static_assert(Understood,
                "g4: encoder<...> takes layers{...}, norm::sandwich<plain_weight> or norm::before<norm::layer>, "
                "attention<...>, feed::gated<...> or feed::plain<...>, biased, clipped_linears and nothing else: see "
                "policy/encoder.h.");
};

template <int Bands>
struct bands_are_quartered {
  static_assert(Bands > 0 && Bands % 4 == 0,
                "g4: subsample{...} halves the bands twice, so log_mel{.bins} must be a multiple of 4. See "
                "subsampling_conv_channels in audio_config: as many bands as the first convolution has channels.");
};

template <bool IsPart>
struct is_a_part_of_a_conformer {
  static_assert(IsPart,
                "g4: conformer<...> takes layers{...}, relative_attention{...}, light_conv{...} and clipped_linears, "
                "and nothing else. See policy/conformer.h.");
};

template <int Layers, int Heads, int Past, int Side>
struct conformer_has_its_sizes {
  static_assert(Layers > 0 && Heads > 0 && Past > 0 && Side > 0,
                "g4: conformer<...> needs layers{n}, relative_attention{.heads = n} that sees at least itself, and "
                "light_conv{.side = n}. See num_hidden_layers, num_attention_heads and conv_kernel_size in "
                "audio_config.");
};

template <int Width, int Heads>
struct conformer_width_is_shared {
  static_assert(Width % 2 == 0 && Heads > 0 && Width % Heads == 0,
                "g4: a conformer's heads share its width evenly, and half of it are sines of distances, half cosines: "
                "the width in front of it must be even and a multiple of relative_attention{.heads}.");
};

template <bool IsPart>
struct is_a_part_of_a_mobilenet {
  static_assert(IsPart,
                "g4: mobilenet<...> takes conv_stem{...}, then blocks<...> of edge_residual{...}, bottleneck{...}, "
                "multi_query{...}, times<...> and in_turn<...> of these, and at its end fused{...}: see "
                "policy/mobilenet.h.");
};

template <int Width>
struct pixels_are_rows {
  static_assert(Width == 3,
                "g4: mobilenet<...> is given pixels, rows of three colours: put patches{.side = 1} in front of it.");
};

template <bool First>
struct first_block_halves {
  static_assert(
      First,
      "g4: the first block of blocks<...> has .stride = 2 and no other has: a new size of planes begins there. "
      "See block_args in vision_config.model_args, or the table of the architecture.");
};

template <int Entries, int Most>
struct mobilenet_is_short {
  static_assert(Entries <= Most,
                "g4: a mobilenet<...> has at most stage::mobilenet::most_entries different blocks in a row; raise that "
                "in spec/mobilenet.h if a longer one appears. Blocks in times<...> and in_turn<...> count once.");
};

template <bool HasSizes, int PlaneSizes>
struct mobilenet_has_its_sizes {
  static_assert(HasSizes && PlaneSizes >= 2 && PlaneSizes <= 4,
                "g4: mobilenet<...> needs channels in every block, heads and sizes in multi_query, which keeps as many "
                "channels as it is given, a convolution in a bottleneck that halves, channels and a side in fused, and "
                "two to four blocks<...>: the last two are fused.");
};

template <bool OnlyBias>
struct only_a_bias_is_added {
  static_assert(OnlyBias,
                "g4: embed::linear takes a width and, where the checkpoint has one, biased: nothing else belongs to a "
                "linear map. See patch_dense in the checkpoint.");
};

template <bool IsText>
struct text_comes_first {
  static_assert(IsText,
                "g4: multimodal<...> begins with its text, a type made of transformer<...>, because towers end in its "
                "rows. See variants/gemma4_12b.h.");
};

template <bool IsSense>
struct is_a_sense {
  static_assert(IsSense,
                "g4: behind its text, multimodal<...> takes sees<...>, hears<...> and turns::..., and nothing else. "
                "See policy/senses.h.");
};

template <int Sees, int Hears, int Turns>
struct senses_are_given_once {
  static_assert(Sees <= 1 && Hears <= 1 && Turns == 1,
                "g4: multimodal<...> takes sees<...> and hears<...> at most once each and turns::... exactly once, so "
                "that a picture, a sound and a conversation each have one way in.");
};

template <bool OfPictures>
struct sees_pictures {
  static_assert(OfPictures,
                "g4: sees<...> takes a tower that begins with a picture, hears<...> one that begins with a sound. The "
                "two were exchanged.");
};

template <bool OfSounds>
struct hears_sounds {
  static_assert(OfSounds,
                "g4: hears<...> takes a tower that begins with a sound, sees<...> one that begins with a picture. The "
                "two were exchanged.");
};

template <int Most>
struct soft_tokens_are_bounded {
  static_assert(Most > 0,
                "g4: soft_tokens{.most} says how many rows of a prompt one picture or sound may take, at least 1. See "
                "max_soft_tokens in the preprocessor's configuration.");
};

template <int Longest, int Places>
struct positions_reach_every_patch {
  static_assert(Longest <= Places,
                "g4: a picture of one row of soft tokens must find a place for each: soft_tokens{.most} asks for more "
                "columns than positions::per_axis{places} has. See mm_posemb_size in vision_config.");
};

template <bool FilledUp, int First, int Count, int Vocab>
struct free_places_have_a_row {
  static_assert(
      !FilledUp || First + Count == Vocab,
      "g4: soft_tokens{.filled_up} puts the row of the vocabulary's last token where a tower makes none, so the "
      "tower's own_ids must end where shape{.vocab} does. See vocab_offset and vocab_size in audio_config.");
};

template <bool Written>
struct marks_are_written {
  static_assert(Written,
                "g4: marked{before, each, behind} names the three tokens around a medium's rows; none may be empty. "
                "See boi_token_id, image_token_id and eoi_token_id in config.json.");
};

}  // namespace g4::rule
