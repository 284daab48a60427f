// Types made from my_model.json and my_drafter.json by g4_add_variant.
#include "my_drafter.h"
#include "my_model.h"

static_assert(g4::my_model::layers == 8 && g4::my_model::spec.shared_layers == 4);
static_assert(g4::my_model::spec.layer[0].keys.back == 7 && g4::my_model::spec.layer[2].head_size == 32);
static_assert(g4::my_drafter::spec.target->width == g4::my_model::width && g4::my_drafter::spec.clusters->count == 32);
static_assert(g4::my_drafter::producer(0) == 3 && g4::my_drafter::producer(3) == 2);

int main() { return 0; }
