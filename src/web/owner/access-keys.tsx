/** The owner's section of access keys: made, given other terms, given a new value, revoked. */
import type { Child, FC } from "hono/jsx";
import type { ListedKey } from "../../ledger/managed-keys.ts";
import { timeText } from "../format.ts";
import type { Texts } from "../texts/en.ts";
import { Action, ActionForm, Block, Field, type FieldProps, Rows } from "./parts.tsx";
import { pathOf, type SectionView } from "./section.ts";

const PATH = pathOf("keys");

export const keys: SectionView = async ({ services, visit: { texts }, c, parts }) => {
  const { owner } = texts;
  if (services.config.access === "open") {
    return (
      <Block id="keys" heading={owner.keys}>
        <p class="note">{owner.openMirror}</p>
      </Block>
    );
  }
  const list = await parts.read("keys", services.managedKeys.list(), []);
  const changed = list.find(({ name, from }) => name === c.req.query("key") && from === "mirror");
  return (
    <>
      {changed && (
        <Block id="change" heading={owner.changeKey(changed.name)} lead={owner.changeKeyLead}>
          <TermsForm
            texts={texts}
            terms={changed}
            name={<input type="hidden" name="name" value={changed.name} />}
            actions={[["narrow", owner.saveKey]]}
          />
        </Block>
      )}
      <Block id="keys" heading={owner.keys} lead={owner.keysLead}>
        <Rows
          none={owner.noKeys}
          rows={list.map((key) => [
            <strong>{key.name}</strong>,
            key.from === "mirror" ? (
              <span class="buttons">
                <a href={`${PATH}?key=${encodeURIComponent(key.name)}`}>{owner.change}</a>
                {(["rotate", "revoke"] as const).map((action) => (
                  <Action
                    {...{ to: PATH, action, text: owner[action], of: key.name }}
                    values={{ name: key.name }}
                  />
                ))}
              </span>
            ) : (
              <span class="note">{owner.configured}</span>
            ),
            <span class="wide">{termsText(key, texts)}</span>,
          ])}
        />
      </Block>
      {!changed && (
        <Block id="new" heading={owner.newKey}>
          <TermsForm
            texts={texts}
            terms={null}
            name={
              <Field
                {...{ name: "name", id: "key-name", label: owner.keyName, placeholder: "laptop" }}
                required
                maxlength={64}
              />
            }
            actions={[["key", owner.makeKey]]}
          />
        </Block>
      )}
    </>
  );
};

interface TermsFormProps {
  texts: Texts;
  /** What a key opens now; null for a new one. */
  terms: ListedKey | null;
  name: Child;
  actions: readonly (readonly [action: string, text: string])[];
}

/** What a key opens, for how long: the same fields for a new key and for one that there is. */
const TermsForm: FC<TermsFormProps> = ({ texts: { owner }, terms, name, actions }) => {
  const patterns = (field: "allow" | "deny" | "push" | "delete", placeholder: string): FieldProps => ({
    ...{ name: field, label: owner.terms[field], maxlength: 1000, placeholder },
    value: terms?.[field].join(", ") ?? "",
  });
  const rest: FieldProps[] = [
    patterns("deny", "docker.io/library/test"),
    patterns("push", "hosted/team/*"),
    patterns("delete", "hosted/team/*"),
    {
      ...{ name: "rate", label: owner.terms.rate, type: "number", maxlength: 9 },
      value: terms?.rate ? String(terms.rate) : "",
    },
  ];
  return (
    <ActionForm
      to={PATH}
      before={name}
      fields={[
        patterns("allow", "docker.io/library/*, ghcr.io/*"),
        {
          ...{ name: "expires", label: owner.terms.expires, type: "date" },
          value: terms?.expires?.slice(0, 10) ?? "",
        },
      ]}
      actions={actions}
    >
      <details open={terms !== null}>
        <summary>{owner.moreTerms}</summary>
        {rest.map((field) => (
          <Field {...field} />
        ))}
      </details>
    </ActionForm>
  );
};

function termsText(
  { allow, deny, push, delete: deletes, expires, rate }: ListedKey,
  { owner }: Texts,
): Child {
  const list = (text: string, patterns: readonly string[]) =>
    patterns.length > 0 && (
      <>
        {" · "}
        {text} <code>{patterns.join(", ")}</code>
      </>
    );
  return (
    <>
      {allow.length === 0 ? owner.allowsAll : <code>{allow.join(", ")}</code>}
      {list(owner.not, deny)}
      {list(owner.pushesTo, push)}
      {list(owner.deletesFrom, deletes)}
      {rate !== null && ` · ${owner.rateOf(rate)}`}
      {expires !== null && <span class="note"> · {owner.until(timeText(expires))}</span>}
    </>
  );
}
