// A picture of the reader's, squeezed to the few pixels that a network sees, as Pillow does it. No picture leaves the machine.

const most = 50e6 // pixels

// One line of Pillow's bicubic resampling: for each new pixel the first old one it takes, and the weights from there on.
function weights(from, to) {
    const scale = from / to, stretch = Math.max(scale, 1), support = 2 * stretch
    const cubic = x => (x = Math.abs(x), x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0)
    return Array.from({length: to}, (_, i) => {
        const centre = (i + 0.5) * scale
        const first = Math.max(0, Math.trunc(centre - support + 0.5)), end = Math.min(from, Math.trunc(centre + support + 0.5))
        const w = Array.from({length: end - first}, (_, k) => cubic((k + first - centre + 0.5) / stretch))
        const sum = w.reduce((a, b) => a + b, 0)
        return [first, w.map(v => v / sum)]
    })
}

const byte = v => Math.min(255, Math.max(0, Math.floor(v + 0.5)))

// A picture's file -> the three planes of size x size that a network takes.
export async function planes(blob, size) {
    const picture = await createImageBitmap(blob, {colorSpaceConversion: "none"}) // upright; colours as they are in the file, as Pillow has them
    if (picture.width * picture.height > most) {
        const pixels = `${picture.width} x ${picture.height}`
        picture.close()
        throw new Error(`the picture has ${pixels} pixels: make it smaller`)
    }
    const out = resize(picture, size)
    picture.close()
    return out
}

// What to tell the reader when that fails.
export function why(e) {
    return e.name == "InvalidStateError" || e.name == "EncodingError" ? "Your browser cannot read this as a picture: try a PNG or JPEG." : `That did not work: ${e.message}`
}

// As Pillow would resize it: first the rows, strip by strip, then the columns.
function resize(picture, size) {
    const {width, height} = picture, across = weights(width, size), down = weights(height, size)
    const out = new Uint8Array(3 * size * size), rows = new Uint8Array(3 * height * size)
    for (const {pixels, top, n} of strips(picture)) for (let c = 0; c < 3; c++) for (let y = 0; y < n; y++) for (let x = 0; x < size; x++) {
        const at = (c * height + top + y) * size + x
        if (width == size) { rows[at] = pixels[4 * (y * width + x) + c]; continue }
        const [first, w] = across[x]
        let sum = 0
        for (let k = 0; k < w.length; k++) sum += w[k] * pixels[4 * (y * width + first + k) + c]
        rows[at] = byte(sum)
    }
    for (let c = 0; c < 3; c++) for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
        const at = (c * size + y) * size + x
        if (height == size) { out[at] = rows[(c * height + y) * size + x]; continue }
        const [first, w] = down[y]
        let sum = 0
        for (let k = 0; k < w.length; k++) sum += w[k] * rows[(c * height + first + k) * size + x]
        out[at] = byte(sum)
    }
    return out
}

// The RGBA pixels of a picture in strips from top to bottom, transparent parts white: phones have no canvas for a whole photograph.
function* strips(picture) {
    const most_rows = Math.max(1, Math.floor(4e6 / picture.width))
    for (let top = 0; top < picture.height; top += most_rows) {
        const n = Math.min(most_rows, picture.height - top)
        const canvas = Object.assign(document.createElement("canvas"), {width: picture.width, height: n})
        const pen = canvas.getContext("2d", {willReadFrequently: true})
        pen.fillStyle = "white"
        pen.fillRect(0, 0, picture.width, n)
        pen.drawImage(picture, 0, -top)
        yield {pixels: pen.getImageData(0, 0, picture.width, n).data, top, n}
    }
}
