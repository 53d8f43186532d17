/* Trains a compiled network to say in which part of a noisy picture the bright spot is. */
#include <stdio.h>

#include "driver.h"
#include "eftrain.h"

#ifndef STEPS
#define STEPS 20
#endif

#define MOST_VALUES (1 << 16)
#define MOST_BATCH 4096

/* Numerical Recipes' generator; its upper 24 bits are a float exactly. */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (float)(1 << 24) - 0.5f;
}

/* Samples of a step: noise, and a bright band whose rows say what the label is. */
void make_batch(uint32_t step, float *samples, uint32_t *labels)
{
    const eftrain_map *map = &plan.input;
    uint32_t classes = plan.logits.channels, pixels = map->channels * map->rows * map->columns;
    uint32_t state = step + 1;
    for (uint32_t image = 0; image < plan.batch; image++) {
        labels[image] = (step + image) % classes;
        for (uint32_t k = 0; k < pixels; k++)
            samples[image * pixels + k] = noise(&state) + (k * classes / pixels == labels[image] ? 1.0f : 0.0f);
    }
}

static int fail(eftrain_status status, const eftrain_error *error)
{
    if (status == EFTRAIN_STOPPED)
        printf("stopped: %s in %s, instruction %lu, address 0x%llx\n", eftrain_error_text(error->code),
               eftrain_unit_text(error->unit), (unsigned long)error->instruction, (unsigned long long)error->address);
    else if (status == EFTRAIN_TIMEOUT)
        printf("the accelerator does not come to an end\n");
    else if (status == EFTRAIN_NOT_READY)
        printf("the accelerator is busy, or has stopped before\n");
    else
        printf("%s: expected 0x%08lx, found 0x%08lx\n",
               status == EFTRAIN_NO_ACCELERATOR ? "no accelerator that this driver knows"
                                                : "the plan was compiled for another configuration",
               (unsigned long)error->expected, (unsigned long)error->found);
    return 1;
}

int main(void)
{
    static float samples[MOST_VALUES];
    static uint32_t labels[MOST_BATCH];
    eftrain_error error;
    double loss = 0;
    eftrain_status status;
    if ((uint64_t)plan.batch * plan.input.channels * plan.input.rows * plan.input.columns > MOST_VALUES) {
        printf("a batch has more than %d values: make MOST_VALUES larger\n", MOST_VALUES);
        return 1;
    }
    status = eftrain_open(&plan, &error);
    for (uint32_t step = 0; step < STEPS && !status; step++) {
        make_batch(step, samples, labels);
        status = eftrain_step(&plan, samples, labels, &loss, &error);
        if (!status)
            printf("step %2lu: loss %.6f\n", (unsigned long)step, loss);
    }
    return status ? fail(status, &error) : 0;
}
