/* Registers and DRAM of a Zynq without an operating system, with the cache functions of the vendor's library.
 * EFTRAIN_REGISTERS is `registers.base` of manifest.json. The linker script has to keep the plan's memory free. */
#include "platform.h"

#include <string.h>

#include "xil_cache.h"

#ifndef EFTRAIN_REGISTERS
#error "define EFTRAIN_REGISTERS, the address of the accelerator's registers, for example 0xA0000000"
#endif

uint32_t platform_read_register(uint32_t offset)
{
    return *(volatile uint32_t *)((uintptr_t)EFTRAIN_REGISTERS + offset);
}

void platform_write_register(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)((uintptr_t)EFTRAIN_REGISTERS + offset) = value;
}

void platform_to_memory(uint64_t address, const void *data, size_t bytes)
{
    memcpy((void *)(uintptr_t)address, data, bytes);
    Xil_DCacheFlushRange((INTPTR)address, (INTPTR)bytes);
}

void platform_from_memory(void *data, uint64_t address, size_t bytes)
{
    Xil_DCacheInvalidateRange((INTPTR)address, (INTPTR)bytes);
    memcpy(data, (const void *)(uintptr_t)address, bytes);
}
