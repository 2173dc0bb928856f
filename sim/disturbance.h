// Random numbers of a disturbed simulation, as C++ standalone and Cython call them; docs/model.md, "Disturbances".
//
// Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011) is a function, not a sequence: what it gives for a neuron and step, or
// for a synapse and spike, of a sample does not depend on what was drawn before. sim/philox.py is the same in NumPy.

#ifndef SPIKEBRIDGE_DISTURBANCE_H
#define SPIKEBRIDGE_DISTURBANCE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

struct SpikebridgePhilox { uint32_t word[4]; };

static inline SpikebridgePhilox spikebridge_philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * c0, p1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<uint32_t>(p1);
        c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<uint32_t>(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const SpikebridgePhilox drawn = {{c0, c1, c2, c3}};
    return drawn;
}

// 53 bits as a whole number.
static inline double spikebridge_bits(uint32_t high, uint32_t low) { return (high >> 5) * 67108864.0 + (low >> 6); }

// Normal with mean 0 and standard deviation `amplitude`, by Box and Muller (1958).
static inline double spikebridge_membrane_noise(double amplitude, int64_t seed, int32_t sample, int32_t stream,
                                                int64_t neuron, int64_t step) {
    if (amplitude == 0.0) return 0.0;
    const SpikebridgePhilox drawn = spikebridge_philox(seed, step, neuron, sample, stream);
    const double radius = (spikebridge_bits(drawn.word[0], drawn.word[1]) + 1.0) / 9007199254740992.0;
    const double angle = spikebridge_bits(drawn.word[2], drawn.word[3]) / 9007199254740992.0;
    return amplitude * (std::sqrt(-2.0 * std::log(radius)) * std::cos(6.283185307179586 * angle));
}

// 1 if the spike arrives, 0 if it is lost.
static inline double spikebridge_transmitted(double failure, int64_t seed, int32_t sample, int32_t stream, int64_t edge,
                                             double spike) {
    if (failure == 0.0) return 1.0;
    const SpikebridgePhilox drawn = spikebridge_philox(seed, static_cast<uint32_t>(spike), edge, sample, stream);
    return spikebridge_bits(drawn.word[0], drawn.word[1]) / 9007199254740992.0 >= failure ? 1.0 : 0.0;
}

// The numbers of the samples that a compiled simulation plays, by lane. They come with a sample's inputs, as if they were
// the neurons of one more input, of which nothing is ever played.
struct SpikebridgeSamples {
    std::vector<int32_t> lanes, numbers;
    int32_t played;
};

static inline SpikebridgeSamples &spikebridge_samples() {
    static SpikebridgeSamples samples;
    return samples;
}

static inline int32_t spikebridge_sample_in_lane(int64_t lane) { return spikebridge_samples().numbers[lane]; }

#endif
