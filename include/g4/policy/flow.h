/// What passes from one stage of a tower to the next. A stage's `out` says what it makes of what it is given; where it
/// has no `out` for that, the two do not meet.
#pragma once

namespace g4::flow {

/// A picture as a host has it, of any size.
struct a_picture {};
/// A sound as a host has it.
struct a_sound {};

/// [h, w, 3], both sides multiples of so many pixels.
struct pixels {
  int multiple = 0;
};
/// [n], so many a second.
struct samples {
  int rate = 0;
};
/// [P, width], each row of a place (x, y) of the picture, whose sides are multiples of `multiple` rows.
struct grid {
  int width = 0;
  int multiple = 1;
};
/// [T, width], in the order of time.
struct sequence {
  int width = 0;
};
/// [n, D of the text]: the end of every tower.
struct soft_rows {};

}  // namespace g4::flow
