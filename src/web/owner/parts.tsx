/** What the sections of the owner's page are made of. */
import type { Child, FC } from "hono/jsx";
import { shortDigest } from "../format.ts";
import type { Texts } from "../texts/en.ts";

export const Block: FC<{ id: string; heading: string; lead?: string; children?: Child }> = (props) => (
  <section class="block" aria-labelledby={props.id}>
    <div class="about">
      <h2 id={props.id}>{props.heading}</h2>
      {props.lead !== undefined && <p>{props.lead}</p>}
    </div>
    <div class="work">{props.children}</div>
  </section>
);

export const Rows: FC<{ rows: readonly Child[][]; none: string }> = ({ rows, none }) =>
  rows.length === 0 ? (
    <p class="note">{none}</p>
  ) : (
    <ul class="rows">
      {rows.map((cells) => (
        <li>{cells}</li>
      ))}
    </ul>
  );

export interface Column {
  heading: Child;
  /** Whether it is right-aligned. */
  isNumber?: boolean;
  /** Whether it is left out on small screens. */
  isExtra?: boolean;
}

/** @param props.rows a cell for each column */
export const Table: FC<{ columns: readonly Column[]; rows: readonly Child[][]; label: string }> = (props) => (
  <table aria-label={props.label}>
    <thead>
      <tr>
        {props.columns.map((column) => (
          <th scope="col" class={classOf(column)}>
            {column.heading}
          </th>
        ))}
      </tr>
    </thead>
    <tbody>
      {props.rows.map((cells) => (
        <tr>
          {cells.map((cell, at) => (
            <td class={classOf(props.columns[at])}>{cell}</td>
          ))}
        </tr>
      ))}
    </tbody>
  </table>
);

/** The heading of a column of buttons: for screen readers. */
export const ActionsHeading: FC<{ texts: Texts }> = ({ texts }) => (
  <span class="announced">{texts.owner.actions}</span>
);

function classOf({ isNumber, isExtra }: Partial<Column> = {}): string | undefined {
  const classes = [...(isNumber ? ["number"] : []), ...(isExtra ? ["extra"] : [])];
  return classes.length > 0 ? classes.join(" ") : undefined;
}

export const Figures: FC<{ figures: readonly (readonly [name: string, value: string])[] }> = ({
  figures,
}) => (
  <dl class="figures">
    {figures.map(([name, value]) => (
      <div>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

export interface FieldProps {
  name: string;
  label: string;
  /** Where another field of the page has the same name. */
  id?: string;
  type?: "text" | "date" | "number";
  placeholder?: string;
  value?: string;
  required?: boolean;
  maxlength?: number;
}

export const Field: FC<FieldProps> = ({ label, id, type = "text", ...rest }) => (
  <p class="field">
    <label for={id ?? rest.name}>{label}</label>
    <input
      id={id ?? rest.name}
      type={type}
      {...rest}
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
    />
  </p>
);

interface ActionFormProps {
  /** The section's path, with what of its query the form is about. */
  to: string;
  fields: readonly FieldProps[];
  /** What can be done, the usual thing first. */
  actions: readonly (readonly [action: string, text: string])[];
  /** Above the fields. */
  before?: Child;
  /** Between the fields and the buttons. */
  children?: Child;
}

export const ActionForm: FC<ActionFormProps> = ({ to, fields, actions, before, children }) => (
  <form method="post" action={to}>
    {before}
    {fields.map((field) => (
      <Field {...field} />
    ))}
    {children}
    <p class="actions">
      {actions.map(([action, text], at) => (
        <button type="submit" name="action" value={action} class={at === 0 ? undefined : "quiet"}>
          {text}
        </button>
      ))}
    </p>
  </form>
);

interface ActionProps {
  to: string;
  action: string;
  text: string;
  /** What it is done to, in words. */
  of: string;
  values: Readonly<Record<string, string>>;
}

/** A button that does one thing to one entry of a list. */
export const Action: FC<ActionProps> = ({ to, action, text, of, values }) => (
  <form method="post" action={to} class="action">
    {Object.entries(values).map(([name, value]) => (
      <input type="hidden" name={name} value={value} />
    ))}
    <button type="submit" name="action" value={action} class="quiet" aria-label={`${text} ${of}`}>
      {text}
    </button>
  </form>
);

/** An image's name as a link, which breaks where a person would break it; as text where its repository isn't known. */
export const ImageLink: FC<{ name: string }> = ({ name }) => {
  const [, digest] = /@(sha\d+:.+)$/.exec(name) ?? [];
  const shown = digest ? name.replace(digest, shortDigest(digest)) : name;
  const parts = shown.split(/(?<=\/)|(?=[:@])/).map((part) => (
    <>
      <wbr />
      {part}
    </>
  ));
  return name.startsWith("@") ? <code>{parts}</code> : <a href={`/_/image/${name}`}>{parts}</a>;
};
