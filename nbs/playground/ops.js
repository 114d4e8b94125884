// The package's augmentations for one picture, byte for byte. A picture is a Uint8Array of three planes of 32x32 pixels, as in
// a tensor [3, 32, 32]. Nothing is changed in place. Python computes in float32: Math.fround rounds a step of JavaScript to it.
// tests/test_playground.py compares each of these functions with the package.

export const side = 32, area = side * side
const f = Math.fround
const byte = v => Math.trunc(Math.min(255, Math.max(0, v)))
const each = (x, change) => Uint8Array.from(x, change)

// Python's round(): halves go to the even number.
function even(v) {
    const low = Math.floor(v), rest = v - low
    return rest < 0.5 || (rest == 0.5 && low % 2 == 0) ? low : low + 1
}

// --- crop, flip, Cutout

// Where each pixel of a line of `side + 2 padding` comes from; -1: from outside.
function padded(at, padding, mode) {
    const from = at - padding
    if (from >= 0 && from < side) return from
    return mode == "zero" ? -1 : from < 0 ? -from : 2 * (side - 1) - from
}

// A window of the padded picture, `dy` down and `dx` to the right in it. `mode`: "zero" (black) or "reflect".
export function crop(x, dy, dx, padding = 4, mode = "zero") {
    return each(x, (_, i) => {
        const row = padded((i % area - i % side) / side + dy, padding, mode), column = padded(i % side + dx, padding, mode)
        return row < 0 || column < 0 ? 0 : x[i - i % area + row * side + column]
    })
}

// The picture mirrored left to right.
export const flip = x => each(x, (_, i) => x[i - i % side + side - 1 - i % side])

// A square of `size` pixels around row `cy` and column `cx`, clipped at the border. `fill`: a number for each channel.
export function cutout(x, cy, cx, size, fill = [0, 0, 0]) {
    const inside = (at, centre) => at >= centre - (size >> 1) && at < centre - (size >> 1) + size
    return each(x, (v, i) => inside((i % area - i % side) / side, cy) && inside(i % side, cx) ? even(fill[Math.floor(i / area)]) : v)
}

// --- MixUp

// `share` of picture x and the rest of picture y, as torch.lerp has it for float32, then rounded to bytes.
export function mixup(x, y, share) {
    share = f(share)
    const [weight, base] = share < 0.5 ? [share, y] : [f(share - 1), x]
    return each(x, (_, i) => even(f(weight * (x[i] - y[i]) + base[i])))
}

// The label of such a picture: weights of `n` classes that sum to 1.
export function mixLabels(first, second, share, n) {
    const y = new Float32Array(n)
    y[second] = 1 - f(share)
    y[first] = first == second ? 1 : share
    return y
}

// --- RandAugment

export const names = ["Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"]
export const geometric = names.slice(1, 6), blends = names.slice(6, 10), signed = names.slice(1, 10)

// Number i of 31 from start to end, as torch.linspace spaces them.
function spaced(start, end, i) {
    const step = f(f(end - start) / 30)
    return i < 15 ? f(start + step * i) : f(end - step * (30 - i))
}

// What a magnitude from 0 to 30 stands for: slope, pixels, degrees, change of a factor, bits, or level.
export function strength(op, magnitude) {
    if (op == "Posterize") return 8 - Math.round(magnitude / 7.5)
    if (op == "Solarize") return spaced(255, 0, magnitude)
    const shift = f(150 / 331 * side), top = {ShearX: f(.3), ShearY: f(.3), TranslateX: shift, TranslateY: shift, Rotate: 30}[op]
    return spaced(0, top ?? (blends.includes(op) ? f(.9) : 0), magnitude)
}

// The inverse of the change of coordinates (from the middle of the picture): x = a x' + b y' + c, y = d x' + e y' + g.
function inverse(op, amount) {
    const whole = Math.trunc(amount), tan = Math.tan(Math.atan(amount)), half = side / 2
    const turn = amount * Math.PI / 180
    return {
        ShearX: [1, tan, tan * half, 0, 1, 0],
        ShearY: [1, 0, 0, tan, 1, tan * half],
        TranslateX: [1, 0, -whole, 0, 1, 0],
        TranslateY: [1, 0, 0, 0, 1, -whole],
        Rotate: [Math.cos(turn), -Math.sin(turn), 0, Math.sin(turn), Math.cos(turn), 0],
    }[op].map(v => f(f(v) / half))
}

// Which pixel each one comes from; -1: from outside.
export function map(op, amount) {
    const [a, b, c, d, e, g] = inverse(op, amount)
    const nearest = v => even(f(f(f(f(v + 1) * side) - 1) / 2))
    return Int16Array.from({length: area}, (_, i) => {
        const x = i % side - side / 2 + 0.5, y = (i - i % side) / side - side / 2 + 0.5
        const column = nearest(f(f(f(a * x) + f(b * y)) + c)), row = nearest(f(f(f(d * x) + f(e * y)) + g))
        return row < 0 || row >= side || column < 0 || column >= side ? -1 : row * side + column
    })
}

function warp(x, from) {
    return each(x, (_, i) => from[i % area] < 0 ? 0 : x[i - i % area + from[i % area]])
}

// Luminance: one plane.
function grey(x) {
    const [r, g, b] = [f(.2989), f(.587), f(.114)]
    return Uint8Array.from({length: area}, (_, i) => byte(f(f(f(r * x[i]) + f(g * x[i + area])) + f(b * x[i + 2 * area]))))
}

// PIL's SMOOTH filter: the middle weighs 5 and its eight neighbours 1, the border stays.
function smooth(x) {
    return each(x, (v, i) => {
        const column = i % side, row = (i % area - column) / side
        if (!row || !column || row == side - 1 || column == side - 1) return v
        let sum = 4 * v
        for (let dy = -side; dy <= side; dy += side) for (let dx = -1; dx <= 1; dx++) sum += x[i + dy + dx]
        return even(f(sum / 13))
    })
}

// The operations that mix a picture with a poorer one, made by `poorer`: 1 + amount of the one, -amount of the other.
function blend(x, poorer, amount) {
    const other = poorer(x), own = f(1 + amount), rest = f(1 - (1 + amount))
    return each(x, (v, i) => byte(f(f(own * v) + f(rest * other[i % other.length]))))
}

const poorer = {
    Brightness: () => [0],
    Color: grey,
    Contrast: x => [f(grey(x).reduce((a, b) => a + b) / area)],
    Sharpness: smooth,
}

const channels = (x, change) => [0, 1, 2].flatMap(c => [...change(x.subarray(c * area, (c + 1) * area))])

// Each channel stretched to 0..255.
function autocontrast(x) {
    return Uint8Array.from(channels(x, plane => {
        const low = Math.min(...plane), high = Math.max(...plane)
        if (low == high) return plane
        const scale = f(f(1 / (high - low)) * 255)
        return plane.map(v => byte(f((v - low) * scale)))
    }))
}

// Each channel's histogram as flat as it can be.
function equalize(x) {
    return Uint8Array.from(channels(x, plane => {
        const count = new Int32Array(256)
        for (const v of plane) count[v]++
        const step = Math.floor((area - count[Math.max(...plane)]) / 255)
        if (!step) return plane
        let below = 0
        const table = count.map(n => (below += n, byte(f((below - n + (step >> 1)) / step))))
        return plane.map(v => table[v])
    }))
}

// One operation of RandAugment, with its strength and sign.
export function apply(x, op, amount = 0) {
    if (geometric.includes(op)) return warp(x, map(op, amount))
    if (blends.includes(op)) return blend(x, poorer[op], amount)
    if (op == "Posterize") return each(x, v => v & (256 - 2 ** (8 - amount)))
    if (op == "Solarize") return each(x, v => v >= amount ? 255 - v : v)
    if (op == "AutoContrast") return autocontrast(x)
    if (op == "Equalize") return equalize(x)
    return x.slice()
}

// --- all of it

export const meanColour = [.4914, .48216, .44653].map(v => 255 * v) // of CIFAR-10's training images

// What an operation does at a magnitude, with its sign.
export const amount = (op, magnitude, positive) => strength(op, magnitude) * (signed.includes(op) && !positive ? -1 : 1)

// A picture after each step of the recipe `final`, but for MixUp: [name, picture] of each, in order. `numbers`: see chance.js.
export function steps(x, numbers) {
    const n = numbers, done = []
    const step = (name, picture) => done.push([name, x = picture])
    step("Crop", crop(x, n.dy, n.dx, n.padding, n.mode))
    step("Flip", n.flip ? flip(x) : x)
    for (const [op, positive] of n.ops) step(op, apply(x, op, amount(op, n.magnitude, positive)))
    step("Cutout", cutout(x, n.cy, n.cx, n.size, n.fill == "mean" ? meanColour : [0, 0, 0]))
    return done
}
