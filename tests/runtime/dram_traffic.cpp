// Managers that ask for as much as a port takes: sequential or scattered bursts, reads, writes or both. Drives the DRAM
// model alone, so that what comes out is the model's doing.
#include <cstring>

#include "dram.h"

namespace {
struct Manager {
    uint64_t base, read_addr, write_addr, seed;
    uint32_t beats, left = 0;

    uint64_t next(uint64_t& sequential, bool scattered, uint32_t bytes) {
        if (scattered) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            return base + ((seed >> 33) % (1u << 26)) / 4096 * 4096;
        }
        const uint64_t room = 4096 - sequential % 4096;
        if (room < bytes) sequential += room;
        const uint64_t addr = sequential;
        sequential += bytes;
        return addr;
    }
};
}  // namespace

// Runs `cycles` after a warm-up of as many; adds the bytes that moved into read_bytes and write_bytes.
extern "C" int traffic(const eft::Config* config, uint32_t burst_bytes, int reads, int writes, int scattered,
                       uint64_t cycles, uint64_t* read_bytes, uint64_t* write_bytes, char* error, size_t error_size) {
    eft::Dram dram(*config);
    const uint32_t beat = config->beat_bytes;
    const uint8_t size = uint8_t(__builtin_ctz(beat));
    const uint8_t len = uint8_t(burst_bytes / beat - 1);
    Manager managers[eft::kMaxPorts];
    uint64_t pending_read[eft::kMaxPorts], pending_write[eft::kMaxPorts];
    uint32_t owed[eft::kMaxPorts] = {};  // data beats of accepted write bursts
    for (unsigned i = 0; i < config->ports; i++) {
        Manager& m = managers[i];
        m.base = uint64_t(i) << 27;
        m.read_addr = m.base;
        m.write_addr = m.base + (1u << 26);
        m.seed = i + 1;
        m.beats = len + 1u;
        pending_read[i] = m.next(m.read_addr, scattered, burst_bytes);
        pending_write[i] = m.next(m.write_addr, scattered, burst_bytes);
    }
    uint8_t data[eft::kMaxBeat];
    std::memset(data, 0x5a, sizeof data);
    const uint32_t strobe = uint32_t((uint64_t(1) << beat) - 1);
    uint64_t before_read = 0, before_write = 0;
    for (uint64_t cycle = 0; cycle < 2 * cycles; cycle++) {
        if (cycle == cycles)
            for (unsigned i = 0; i < config->ports; i++) {
                before_read += dram.port[i].stats.read_bytes;
                before_write += dram.port[i].stats.write_bytes;
            }
        for (unsigned i = 0; i < config->ports; i++) {
            Manager& m = managers[i];
            eft::Port& port = dram.port[i];
            // Streams wrap inside their own 64 MiB.
            if (m.read_addr >= m.base + (1u << 26) - 4096) m.read_addr = m.base;
            if (m.write_addr >= m.base + (2u << 26) - 4096) m.write_addr = m.base + (1u << 26);
            const bool ar = reads && port.ar_ready;
            port.on_ar(reads, eft::Address{pending_read[i], len, size, 1, 0});
            if (ar) pending_read[i] = m.next(m.read_addr, scattered, burst_bytes);
            const bool aw = writes && port.aw_ready;
            port.on_aw(writes, eft::Address{pending_write[i], len, size, 1, 0});
            if (aw) {
                pending_write[i] = m.next(m.write_addr, scattered, burst_bytes);
                owed[i] += m.beats;
            }
            const bool w = owed[i] > 0;
            if (w && m.left == 0) m.left = m.beats;
            const bool taken = w && port.w_ready;
            port.on_w(w, data, strobe, m.left == 1);
            if (taken) owed[i]--, m.left--;
            port.on_r(true);
            port.on_b(true);
        }
        dram.step();
    }
    *read_bytes = *write_bytes = 0;
    for (unsigned i = 0; i < config->ports; i++) {
        *read_bytes += dram.port[i].stats.read_bytes;
        *write_bytes += dram.port[i].stats.write_bytes;
    }
    *read_bytes -= before_read;
    *write_bytes -= before_write;
    std::strncpy(error, dram.error.c_str(), error_size - 1);
    return dram.error.empty() ? 0 : -1;
}
