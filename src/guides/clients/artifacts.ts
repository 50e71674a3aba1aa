/** Programs that pull other things than images from registries, and take them by the mirror's name. */
import {
  authority,
  chooseShape,
  endpoint,
  isOnThisMachine,
  isPlainHttp,
  referencePrefix,
} from "../addresses.ts";
import { type Guide, type GuideRequest, json, type Step, yaml } from "../guide.ts";
import { basicCredentials } from "../key.ts";
import { loginSteps } from "../login.ts";

export function artifacts(request: GuideRequest): Guide {
  const ghcr = referencePrefix(request, "ghcr.io");
  return {
    title: "Trivy, Helm, Flux, OpenTofu, dev containers and Homebrew",
    steps: [
      ...loginSteps(request, "docker"),
      {
        text: "Trivy: its databases and checks.",
        command: [
          "trivy image",
          `--db-repository ${ghcr}/aquasecurity/trivy-db:2`,
          `--java-db-repository ${ghcr}/aquasecurity/trivy-java-db:1`,
          `--checks-bundle-repository ${ghcr}/aquasecurity/trivy-checks:1`,
          `${referencePrefix(request, "docker.io")}/library/alpine:latest`,
        ].join(" \\\n  "),
      },
      helm(request, ghcr),
      flux(request, ghcr),
      openTofu(ghcr),
      {
        text: "OpenTofu: modules, in the configuration that uses them.",
        file: {
          path: "main.tf",
          language: "text",
          content: `module "example" {\n  source = "oci://${ghcr}/OWNER/MODULE?tag=1.0.0"\n}\n`,
        },
      },
      {
        text: "Dev containers: image and features.",
        file: json(".devcontainer/devcontainer.json", {
          image: `${referencePrefix(request, "mcr.microsoft.com")}/devcontainers/base:ubuntu`,
          features: { [`${ghcr}/devcontainers/features/node:1`]: {} },
        }),
      },
      homebrew(request),
    ],
    notes: [
      "When the mirror fails, only Homebrew falls back to the registry. What was pulled before is served even while the registry is down.",
      "Homebrew requests sources and casks from the mirror too, doesn't find them there, and downloads them from their original location.",
      ...(request.key === null
        ? []
        : [
            "Trivy, OpenTofu, dev containers and Helm use the credentials of `docker login`, Flux those of its secret, and Homebrew those of its environment variable.",
          ]),
      ...(isPlainHttp(request) && !isOnThisMachine(request)
        ? [
            `The mirror has no TLS: Trivy needs \`--insecure\` and \`TRIVY_NON_SSL=true\`, Helm \`--plain-http\`, Flux \`insecure: true\`, Docker \`"insecure-registries": ["${authority(request)}"]\`. OpenTofu and dev containers require TLS.`,
          ]
        : []),
    ],
  };
}

function helm({ key, mirror }: GuideRequest, ghcr: string): Step {
  const plain = mirror.protocol === "http:" ? " --plain-http" : "";
  const login =
    key === null
      ? []
      : [`helm registry login${plain} --username portolan --password-stdin ${mirror.host} < portolan.key`];
  return {
    text: "Helm: charts, on the command line and as dependencies (`repository: oci://…` in Chart.yaml).",
    command: [...login, `helm pull${plain} oci://${ghcr}/OWNER/CHART --version 1.0.0`].join("\n"),
  };
}

function flux(request: GuideRequest, ghcr: string): Step {
  return {
    text: "Flux: an OCIRepository. A HelmRepository of type `oci` takes the same kind of `url`.",
    file: yaml("portolan-ocirepository.yaml", {
      apiVersion: "source.toolkit.fluxcd.io/v1",
      kind: "OCIRepository",
      metadata: { name: "manifests", namespace: "flux-system" },
      spec: {
        interval: "10m",
        url: `oci://${ghcr}/OWNER/MANIFESTS`,
        ref: { semver: "1.x" },
        ...(isPlainHttp(request) ? { insecure: true } : {}),
        ...(request.key === null ? {} : { secretRef: { name: "portolan" } }),
      },
    }),
    ...(request.key === null
      ? {}
      : {
          command: `flux create secret oci portolan --url=${authority(request)} --username=portolan --password="$(cat portolan.key)"`,
        }),
  };
}

function openTofu(ghcr: string): Step {
  return {
    text: "OpenTofu: providers published in an OCI registry, in the CLI configuration.",
    file: {
      path: "~/.tofurc",
      language: "text",
      content: `provider_installation {
  oci_mirror {
    repository_template = "${ghcr}/OWNER/\${namespace}/\${type}"
    include             = ["registry.opentofu.org/*/*"]
  }
}
`,
    },
  };
}

function homebrew(request: GuideRequest): Step {
  const { shape } = chooseShape(request, ["host", "prefix"]);
  const { key } = request;
  return {
    text: "Homebrew: bottles, through environment variables.",
    command: [
      `export HOMEBREW_ARTIFACT_DOMAIN=${endpoint(request, "ghcr.io", shape)}`,
      ...(key === null ? [] : [`export HOMEBREW_DOCKER_REGISTRY_BASIC_AUTH_TOKEN=${basicCredentials(key)}`]),
      "brew install jq",
    ].join("\n"),
  };
}
