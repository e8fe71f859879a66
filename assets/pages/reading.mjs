/** What is around a model: tokens before it, probabilities after it, and one word left out at a time. */

/**
 * Token numbers of a text, cut as in training.
 * `longest` tokens are kept; where `closing` is true, the last of them is the tokenizer's closing one.
 */
export function tokenIds(tokenizer, text, longest, closing) {
  const { ids } = tokenizer.encode(text);
  if (ids.length <= longest) return { ids, lost: 0 };
  const kept = closing ? [...ids.slice(0, longest - 1), ids.at(-1)] : ids.slice(0, longest);
  return { ids: kept, lost: ids.length - longest };
}

/** Softmax. */
export function probabilities(logits) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** Label indices, the most likely first. */
export const ranked = (probs) => probs.map((_, at) => at).sort((a, b) => probs[b] - probs[a]);

/** Each different word of a text, as typed but for the signs around it, with the text that lacks it. */
export function withoutEach(text, most) {
  const words = [...text.matchAll(/\S+/g)].slice(0, most);
  if (words.length < 2) return [];
  return words.map((match) => ({
    word: match[0].replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}%]+$/gu, "") || match[0],
    rest: (text.slice(0, match.index) + text.slice(match.index + match[0].length)).replace(/\s+/g, " ").trim(),
  }));
}

/** Open a model; what it gives back answers one sentence with its probabilities. */
export async function openModel(library, bytes, tokenizer, fact) {
  const session = await library.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  return async (text) => {
    const { ids, lost } = tokenIds(tokenizer, text, fact.longest, fact.closing);
    const tensor = (values) => new library.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const { logits } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
    return { probs: probabilities(logits.data), lost };
  };
}
