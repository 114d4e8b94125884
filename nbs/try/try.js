// The page "Try it": classifies a picture in the browser. The network is an ONNX file beside this script, and so is
// onnxruntime-web; tools/web.py puts both here. No picture leaves the machine.
import * as ort from "./ort/ort.wasm.min.mjs"
import {planes, why} from "./pixels.js"

const here = new URL(".", import.meta.url).href
const place = document.getElementById("try")

ort.env.wasm.wasmPaths = here + "ort/"
ort.env.wasm.numThreads = 1 // threads need headers that simple web servers do not send

// --- network

let loading
function network() {
    return loading ??= Promise.all([
        fetch(here + "model.json").then(r => r.json()),
        ort.InferenceSession.create(here + "model.onnx", {executionProviders: ["wasm"]})]).catch(e => { loading = null; throw e })
}

// The classes and their probabilities, most probable first.
export async function classify(blob) {
    const [{classes, size}, session] = await network()
    const images = new ort.Tensor("uint8", await planes(blob, size), [1, 3, size, size])
    const {probabilities} = await session.run({images})
    return classes.map((name, i) => ({name, p: probabilities.data[i]})).sort((a, b) => b.p - a.p)
}

// --- page

const part = (kind, values = {}, ...inside) => {
    const e = Object.assign(document.createElement(kind), values)
    e.append(...inside)
    return e
}
const input = part("input", {type: "file", accept: "image/*", id: "try-file"})
const drop = part("label", {className: "try-drop", htmlFor: "try-file"}, input, part("span", {textContent: "Choose a picture, or drop one here"}))
const samples = part("div", {className: "try-samples"})
const shown = part("img", {className: "try-shown", alt: "the picture that was classified"})
const answer = part("div", {className: "try-answer"}, part("p", {textContent: "Its answer will appear here."}))
answer.setAttribute("aria-live", "polite")
place.replaceChildren(drop, samples, part("div", {className: "try-result"}, answer))

function bar({name, p}) {
    const line = part("div", {className: "try-line"}, part("span", {textContent: name}), part("span", {className: "try-bar"}), part("span", {textContent: (100 * p).toFixed(1) + "%"}))
    line.children[1].style.setProperty("--share", p)
    line.dataset.name = name
    line.dataset.p = p
    return line
}

let latest = 0 // pictures shown: an answer that comes late, after another picture was chosen, is not shown

async function show(picture) { // a blob, or the promise of one
    const mine = ++latest
    answer.replaceChildren(part("p", {textContent: "Looking …"}))
    answer.removeAttribute("data-done")
    try {
        const blob = await picture
        if (mine != latest) return
        if (shown.src) URL.revokeObjectURL(shown.src)
        shown.src = URL.createObjectURL(blob)
        answer.before(shown)
        await network() // its loading is not part of the time below
        const start = performance.now()
        const found = await classify(blob)
        const ms = performance.now() - start
        if (mine != latest) return
        const sure = found[0].p < 0.5 ? "It is not sure at all." : found[0].p < 0.9 ? "It has its doubts." : ""
        answer.replaceChildren(...found.slice(0, 5).map(bar), part("p", {textContent: `${sure} It knows these ten classes only, so whatever else you show it gets one of their names. (${ms.toFixed(0)} ms)`}))
        answer.dataset.ms = ms
    } catch (e) {
        if (mine != latest) return
        shown.remove()
        answer.replaceChildren(part("p", {textContent: why(e)}))
    }
    answer.dataset.done = "yes"
}

input.addEventListener("change", () => input.files[0] && show(input.files[0]))
for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, e => { e.preventDefault(); drop.classList.toggle("over", kind == "dragover") })
drop.addEventListener("drop", e => e.dataTransfer.files[0] && show(e.dataTransfer.files[0]))
try {
    const {classes} = await fetch(here + "model.json").then(r => r.json())
    for (const name of classes) {
        const button = part("button", {type: "button", title: `a drawn picture: ${name}`}, part("img", {src: `${here}samples/${name}.png`, alt: `a drawn picture: ${name}`, width: 56, height: 56}))
        button.addEventListener("click", () => show(fetch(`${here}samples/${name}.png`).then(r => r.blob())))
        samples.append(button)
    }
} catch (e) {
    answer.replaceChildren(part("p", {textContent: `The network could not be loaded: ${e.message}`}))
}
