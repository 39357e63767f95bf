"use client";

import { fileUrl } from "@tasktonic/client";
import { Download, File as FileIcon, ImageOff } from "lucide-react";
import { useState } from "react";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Dialog, DialogContent } from "@/components/ui/dialog";
import { bytes } from "@/lib/format";
import type { FileRef } from "../output-files";
import { useStoredFile } from "../stored-file";

const isImage = (file: FileRef) => file.type.startsWith("image/");

/** Pictures as pictures, everything else as a list to download from. */
export function FileGallery({ files }: { files: FileRef[] }) {
  const [open, setOpen] = useState<FileRef>();
  const images = files.filter(isImage);
  const others = files.filter((file) => !isImage(file));
  return (
    <div className="flex flex-col gap-4">
      {images.length > 0 ? (
        <ul className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-4">
          {images.map((file) => (
            <li key={file.file}>
              <figure className="group overflow-hidden rounded-lg border border-line bg-surface shadow-soft">
                <button
                  type="button"
                  onClick={() => setOpen(file)}
                  aria-label={`Look at ${file.name}`}
                  className="block aspect-[3/2] w-full overflow-hidden bg-sunken -outline-offset-2"
                >
                  <Preview
                    file={file}
                    className="size-full object-cover transition-transform duration-300 group-hover:scale-[1.03]"
                  />
                </button>
                <figcaption className="flex items-center gap-2 py-1.5 pr-1 pl-3">
                  <div className="min-w-0 flex-1">
                    <p className="truncate text-xs font-medium" title={file.name}>
                      {file.name}
                    </p>
                    {file.size === undefined ? null : <p className="text-2xs text-ink-faint">{bytes(file.size)}</p>}
                  </div>
                  <DownloadLink file={file} />
                </figcaption>
              </figure>
            </li>
          ))}
        </ul>
      ) : null}
      {others.length > 0 ? (
        <Card>
          <ul>
            {others.map((file) => (
              <li
                key={file.file}
                className="flex items-center gap-3 border-b border-line py-2 pr-2 pl-4 last:border-b-0"
              >
                <FileIcon aria-hidden className="size-4 text-ink-faint" />
                <span className="min-w-0 flex-1 truncate text-sm">{file.name}</span>
                {file.size === undefined ? null : (
                  <span className="tabular text-xs text-ink-faint">{bytes(file.size)}</span>
                )}
                <DownloadLink file={file} />
              </li>
            ))}
          </ul>
        </Card>
      ) : null}
      <Dialog open={open !== undefined} onOpenChange={(shown) => !shown && setOpen(undefined)}>
        {open ? (
          <DialogContent title={open.name} className="top-[6vh] max-h-[88vh] max-w-4xl">
            <div className="flex min-h-0 flex-1 items-center justify-center bg-sunken p-3">
              <Preview file={open} className="max-h-[66vh] max-w-full rounded-md object-contain" />
            </div>
            <div className="flex items-center justify-between px-5 py-3 text-xs text-ink-faint">
              <span>
                {open.type}
                {open.size === undefined ? "" : ` · ${bytes(open.size)}`}
              </span>
              <Button asChild size="sm">
                <a href={fileUrl(open.file)} download={open.name}>
                  <Download /> Download
                </a>
              </Button>
            </div>
          </DialogContent>
        ) : null}
      </Dialog>
    </div>
  );
}

function Preview({ file, className }: { file: FileRef; className: string }) {
  const [broken, setBroken] = useState(false);
  if (broken) {
    return (
      <span className="grid size-full min-h-24 place-items-center text-ink-faint">
        <ImageOff aria-label="No preview" className="size-5" />
      </span>
    );
  }
  return (
    <img
      src={fileUrl(file.file, { inline: true })}
      alt={file.name}
      loading="lazy"
      decoding="async"
      onError={() => setBroken(true)}
      className={className}
    />
  );
}

function DownloadLink({ file }: { file: FileRef }) {
  return (
    <Button asChild look="ghost" size="icon-sm" className="text-ink-faint">
      <a href={fileUrl(file.file)} download={file.name} aria-label={`Download ${file.name}`}>
        <Download />
      </a>
    </Button>
  );
}

/** Files a payload names by their ids: the server says what they are called, and a picture shows itself if it is one. */
export function InputFiles({ ids }: { ids: string[] }) {
  return (
    <ul className="grid grid-cols-2 gap-3 sm:grid-cols-4 lg:grid-cols-6">
      {ids.map((id) => (
        <InputFile key={id} id={id} />
      ))}
    </ul>
  );
}

function InputFile({ id }: { id: string }) {
  const file = useStoredFile(id);
  return (
    <li>
      <a
        href={fileUrl(id)}
        download
        title={`Download ${file?.name ?? id}`}
        className="block overflow-hidden rounded-lg border border-line bg-surface shadow-soft hover:border-line-strong"
      >
        <InputPreview id={id} />
        <span className="block px-2.5 py-1.5">
          <span
            className={file ? "block truncate text-xs font-medium" : "block truncate font-mono text-2xs text-ink-faint"}
          >
            {file?.name ?? id}
          </span>
          {file?.size === undefined ? null : <span className="block text-2xs text-ink-faint">{bytes(file.size)}</span>}
        </span>
      </a>
    </li>
  );
}

function InputPreview({ id }: { id: string }) {
  const [plain, setPlain] = useState(false);
  return (
    <span className="relative grid aspect-[3/2] place-items-center overflow-hidden bg-sunken text-ink-faint">
      {plain ? (
        <FileIcon aria-hidden className="size-6" />
      ) : (
        <img
          src={fileUrl(id, { inline: true })}
          alt=""
          loading="lazy"
          onError={() => setPlain(true)}
          className="absolute inset-0 size-full object-cover"
        />
      )}
    </span>
  );
}
