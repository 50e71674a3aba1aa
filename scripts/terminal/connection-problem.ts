/** Why a connection failed, in plain words. */
import { causeOf, codeOf } from "../registry/failure.ts";

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: "its name isn't known",
  EAI_AGAIN: "its name can't be looked up now",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection is broken off",
  ETIMEDOUT: "it doesn't respond",
  EHOSTUNREACH: "there is no way to it",
  ENETUNREACH: "there is no way to its network",
};

/** The meaning of a connection error; its own message if the code is unknown. */
export function connectionProblem(error: unknown): string {
  return WORDS[codeOf(error)] ?? causeOf(error);
}
